import { testContext } from '@keyturn/conformance'
import type { OpenContext, SecretValue, StoreAdapter, StorePath } from '@keyturn/core'
import type { Carry } from '../wire.ts'

/** A kind of store that rotations are crashed on: the real adapter, and a server or files of its own for each run. */
export interface Backend {
  readonly name: string
  /** Answers with a place where nothing has happened yet but what its neighbours needed. */
  start(): Promise<Shelf>
}

/** The place of one secret in a backend, and what only somebody outside the broker can see of it. */
export interface Shelf {
  readonly path: StorePath
  /** Whether the secret is a set of fields or one text. */
  readonly form: 'fields' | 'text'
  /** The real adapter, as a new process opens it. What goes between it and the backend is handed to `carry`, where anything can come between them. */
  open(carry: Carry): Promise<Process>
  /** Someone writes past the broker. */
  place(value: SecretValue): Promise<void>
  /** Looks at what the backend itself holds. */
  look(): Promise<Look>
  close(): Promise<void>
}

/** An adapter and what ends with its process. */
export interface Process {
  readonly adapter: StoreAdapter
  /** Nothing that the adapter does from here on gets through. */
  kill(): Promise<void>
}

/** What a backend holds at one moment, by its own state. */
export interface Look {
  /** What a reader gets; undefined: nothing. */
  readonly current: SecretValue | undefined
  /** How many versions of the secret were ever made; undefined: it overwrites in place. */
  readonly made?: number
  /** All that it holds of the secret, versions and states, to tell what changed it. */
  readonly secret: string
  /** Everything else that it holds, byte for byte. */
  readonly neighbours: string
}

/** What a broker hands to an adapter. Its clock is the machine's, as its connections are: only the engine lives in simulated time. */
export function contextIn(data: string): OpenContext {
  return testContext('crash', { data })
}
