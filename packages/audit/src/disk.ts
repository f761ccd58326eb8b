/** One open file of the log. Its methods throw what the system throws (`code`: ENOSPC, EIO). */
export interface AuditFile {
  /** Which file on the disk it is, whatever its name has become. */
  readonly id: string
  size(): number
  /** Writes at the end, all of it; an error leaves any part of it. Not durable before `sync`. */
  append(text: string): void
  /** Makes what was appended before the call durable. After an error nothing is known about those bytes. */
  sync(done: (error: Error | null) => void): void
  /** Whether any name on the disk still leads to it. */
  isNamed(): boolean
  truncate(size: number): void
  /** The bytes from `offset`; fewer than `length` at the end. */
  read(offset: number, length: number): Buffer
  close(): void
}

/** The part of a file system that the log uses. A fake of it forgets what was not synced. */
export interface AuditDisk {
  /** Opens for appending, and makes the file where it is missing: mode 0600, missing folders 0700, whatever the umask; the name is durable. */
  open(path: string): AuditFile
  /** What the name stands for now; undefined when nothing does. */
  look(path: string): { readonly id: string; readonly size: number } | undefined
  /** Holds `path` for this process until the answer is called or the process dies. `conflict` when another holds it. */
  lock(path: string): () => void
  /** Replaces a small file whole: after a crash it is the old one or the new one. */
  replace(path: string, content: string | Uint8Array): void
  /** A small file's text; undefined when there is none. */
  text(path: string): string | undefined
  /** Rotated files beside `path` that can be read as they are, the newest first. */
  rotated(path: string): readonly string[]
}
