import type { Capability, ErrorCode, Store, StoreAdapter, StorePath } from '@keyturn/core'

/** The form of values that a store takes: one unnamed field, or a set of named ones. */
export type Form = 'text' | 'fields'

/** The same adapter with something broken, and the code that must come out of `Store`. */
export interface Fault {
  /** As a reader of a test report would say it: `the token was revoked`. */
  readonly title: string
  readonly code: ErrorCode
  /** What is tried; `read` when left out. */
  readonly operation?: 'read' | 'write' | 'list'
  /** Where it is tried; a fresh path when left out. */
  readonly path?: StorePath
  open(): Promise<StoreAdapter>
}

/** What the author of an adapter writes: how to open it, what it must be able to do, and how to break it. */
export interface StoreHarness {
  /** The adapter's name in titles and tables: `adapter-dotenv`. */
  readonly name: string
  /** What this adapter must have. A list, not a skip: losing one fails the first check, and so does one too many. */
  readonly capabilities: readonly Capability[]
  /** At least one. Where both are given, every check of values runs with both. */
  readonly forms: readonly Form[]
  /** Opens the adapter on the same backend each time, as another process would. The kit closes what it opened. */
  open(): Promise<StoreAdapter>
  /** A path that was never written, valid here, each time another; all of them share the prefix `prefix`. */
  freshPath(): StorePath
  /** What `list` is asked for: covers every fresh path. */
  readonly prefix: string
  /** At least one; a denial among them where the backend knows denials. */
  readonly faults: readonly Fault[]
  /** Makes `asValue(text, forms[0])` the current value without the adapter, where the backend allows it. */
  behind?(path: StorePath, text: string): Promise<void>
  /** The same adapter on the same backend, but the answer to a write comes after more than `slowMs`. */
  slow?(): Promise<StoreAdapter>
  /** Makes paths exist in bulk without the adapter, where a thousand writes would be too slow. */
  fill?(paths: readonly StorePath[]): Promise<void>
}

/** The deadline that `slow` must overrun. */
export const slowMs = 150

/** What a check may call for beside capabilities. */
export type Means = 'behind' | 'slow' | 'fields'

/** One promise, as data: any runner can run it, and a mutant can name the check that must catch it. */
export interface StoreCheck {
  /** A sentence about behaviour; unique. */
  readonly title: string
  /** It applies only where the harness lists all of these. */
  readonly needs?: readonly Capability[]
  /** It applies only where the harness has all of these. */
  readonly means?: readonly Means[]
  /** Fails by throwing. `store` is the adapter as the broker holds it, `adapter` the same one bare. */
  run(store: Store, harness: StoreHarness, adapter: StoreAdapter): Promise<void>
}
