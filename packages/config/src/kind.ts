import type { z } from 'zod'

/**
 * What the config must know of a kind of store; an adapter's `options.ts` and `names.ts` have it, so that no SDK loads to read
 * a file. `Loaded` is what `load` brings: the adapter itself, which only the composition root asks for.
 */
export interface Kind<Loaded = unknown> {
  /** The section's own keys, beside `kind secrets timeout ca proxy maxInFlight`. An option called `file`, `ca`, `cert`, `folder` or `...File` is a path and arrives absolute. */
  readonly options: z.ZodObject
  /** The broker's default name of a path; throws `BrokerError` `invalid_argument` for a path that this kind does not accept. */
  nameOf(path: string, options: object): string
  /** Whether an entry names a field by `key`. Default `optional`. */
  readonly keyed?: 'required' | 'optional' | 'none'
  /** `fields`: every value is a set of fields (default); `text`: one unnamed field unless `format: json`; `either`: as it was first written. */
  readonly holds?: 'fields' | 'text' | 'either'
  /**
   * What a section without `secrets:` serves. Left out: nothing, so that it is refused. `any`: every name that nobody else takes,
   * under itself. A function: the paths that are there now, read through the same port as the config.
   */
  readonly unlisted?: 'any' | UnlistedPaths
  load(): Promise<Loaded>
}

/** Lists the paths of a section without `secrets:`. */
export interface UnlistedPaths {
  paths(options: object, read: (path: string) => Promise<Uint8Array> | Uint8Array): Promise<readonly string[]>
}

/** The kinds of a build, by the word that sections call them by. */
export type Kinds<Loaded = unknown> = Readonly<Record<string, Kind<Loaded>>>

/** What the config must know of a kind of issuer. */
export interface IssuerKind<Loaded = unknown> {
  readonly options: z.ZodObject
  load(): Promise<Loaded>
}

/** Every kind of store there is, in this build or in another. */
export const storeKinds = ['vault', 'aws', 'azure', 'gcp', 'kubernetes', 'dotenv', 'database'] as const

/** The sections that are Keyturn's own; any other one is a store. */
export const ownSections = [
  'include',
  'environment',
  'broker',
  'secrets',
  'issuers',
  'rotation',
  'publish',
  'access',
  'audit',
  'alerts',
  'metrics',
] as const

/** Names of stores that would hide a route of the broker. */
export const routeNames = ['secrets', 'auth', 'sys', 'watch', 'confirm', 'jwks', 'versions'] as const
