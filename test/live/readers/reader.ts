/** Where a reader finds a server of Vault's kind. */
export interface Place {
  readonly url: string
  readonly token: string
  readonly namespace?: string
}

/** One secret as a reader names it: the mount, the key below it, and the kind of the mount. */
export interface Name {
  readonly mount: string
  readonly key: string
  readonly kv: 1 | 2
}

/** Fields as JSON has them. */
export type Fields = Readonly<Record<string, unknown>>

/** Somebody else's client. What it cannot do it has no member for. */
export interface Reader {
  /** Name and version. */
  readonly title: string
  /** The fields, of the newest version or the one asked for; undefined when it says that there are none. `names` is for who reads field by field. */
  read(at: Place, name: Name, options: { readonly names: readonly string[]; readonly version?: number }): Promise<Fields | undefined>
  /** What it gives for a number. */
  readonly numbers: 'kept' | 'as text'
  /** False when `cas` was not the current version. */
  write?(at: Place, name: Name, fields: Fields, cas?: number): Promise<boolean>
  /** The names in a folder. */
  list?(at: Place, folder: Name): Promise<readonly string[]>
  /** Takes the newest version away, softly where the mount can. */
  remove?(at: Place, name: Name): Promise<void>
  close?(): Promise<void>
}

/** A reader that is not here, and why. */
export interface AbsentReader {
  readonly title: string
  readonly absent: string
}
