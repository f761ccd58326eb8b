import { createHmac } from 'node:crypto'
import {
  BrokerError,
  type CallOptions,
  type Classification,
  type Etag,
  type Finding,
  type Guarantees,
  type OpenContext,
  type ReadOptions,
  SecretValue,
  type SecretVersion,
  type StoreAdapter,
  type StorePath,
  type VersionId,
  type VersionInfo,
  type WriteOptions,
} from '@keyturn/core'
import { classify } from './classify.ts'
import { EnvFile, type Snapshot } from './client.ts'
import { examineFile, examineVariable } from './examine.ts'
import { type Files, systemFiles } from './files.ts'
import { removeVariable, setVariable } from './lines.ts'
import { fileLock } from './lock.ts'
import { checkReadable, checkWritable } from './names.ts'
import type { DotenvOptions } from './options.ts'
import { plainText, refusal, valueBytesMax } from './quoting.ts'

/** A `.env` file as a store: each variable is a secret with one version, the value it has. */
export class DotenvStore implements StoreAdapter {
  readonly kind = 'dotenv'
  /** Not idempotent: a file has no place for keys, so one key with two values is two writes. The same value twice is one version. */
  readonly guarantees: Guarantees = { cas: true, idempotent: false, valueBytesMax }
  readonly #file: EnvFile
  readonly #options: DotenvOptions
  readonly #context: Pick<OpenContext, 'clock' | 'etagKey'>

  constructor(options: DotenvOptions, context: Pick<OpenContext, 'clock' | 'etagKey'>, files: Files = systemFiles) {
    this.#options = options
    this.#context = context
    this.#file = new EnvFile(options.file, files, fileLock(context.clock))
  }

  async read(path: StorePath, { version, signal }: ReadOptions): Promise<SecretVersion> {
    checkReadable(path)
    const snapshot = await this.#file.read(signal)
    const value = valueIn(snapshot, path)
    if (value === undefined) throw this.#absent(path, snapshot)
    const info = this.#info(path, value, snapshot.content?.changedAt)
    if (version !== undefined && version !== info.version) {
      throw new BrokerError('not_found', `${path} has no version ${version}: a .env file keeps the current one only`)
    }
    return { ...info, value: SecretValue.text(value) }
  }

  async write(path: StorePath, value: SecretValue, { ifMatch, signal }: WriteOptions): Promise<VersionInfo> {
    this.#mustBeWritable()
    checkWritable(path)
    const why = refusal(value)
    const text = plainText(value)
    if (why !== undefined || text === undefined) throw new BrokerError('invalid_argument', `${path} cannot hold this value whole: ${why}`)
    const changedAt = await this.#file.change(signal, before => {
      this.#expect(path, before, ifMatch)
      return this.#edited(path, setVariable(before.text, path, text))
    })
    return this.#info(path, text, changedAt)
  }

  async *list(prefix: string, { signal }: CallOptions): AsyncIterable<StorePath> {
    const { assignments } = await this.#file.read(signal)
    for (const name of new Set(assignments.map(assignment => assignment.name))) {
      signal.throwIfAborted()
      // the grammar that found the name is the rule for paths
      if (name.startsWith(prefix)) yield name as StorePath
    }
  }

  /** Takes the variable away, every assignment of it; nothing can bring it back. */
  async delete(path: StorePath, { ifMatch, signal }: WriteOptions): Promise<void> {
    this.#mustBeWritable()
    checkReadable(path)
    await this.#file.change(signal, before => {
      this.#expect(path, before, ifMatch)
      if (valueIn(before, path) === undefined) throw this.#absent(path, before)
      return this.#edited(path, removeVariable(before.text, path))
    })
  }

  refuses(value: SecretValue): string | undefined {
    return refusal(value)
  }

  async examine(path: StorePath | null, { signal }: CallOptions): Promise<readonly Finding[]> {
    const snapshot = await this.#file.read(signal)
    const findings = examineFile(this.#options, snapshot)
    return path === null ? findings : [...findings, examineVariable(path, this.#options, snapshot)]
  }

  classify(error: unknown): Classification {
    return classify(error)
  }

  async close(): Promise<void> {}

  #mustBeWritable(): void {
    if (this.#options.readOnly !== true) return
    throw new BrokerError('unsupported', `${this.#options.file} is served and never written`, {
      hint: 'its section says readOnly: true; edit the file by hand, or keep this secret in another store',
    })
  }

  #expect(path: StorePath, before: Snapshot, ifMatch: Etag | null | undefined): void {
    if (ifMatch === undefined) return
    const value = valueIn(before, path)
    const etag = value === undefined ? null : this.#fingerprint(path, value)
    if (etag === ifMatch) return
    throw new BrokerError('conflict', `${path} is not the version that was expected: the file was changed`, { hint: 'read it again' })
  }

  #edited(path: StorePath, text: string | undefined): string {
    if (text !== undefined) return text
    throw new BrokerError('precondition_failed', `${path} cannot be changed without changing another variable of ${this.#options.file}`, {
      hint: 'look for a quote that is not closed in the file',
    })
  }

  #info(path: StorePath, value: string, changedAt: Date | undefined): VersionInfo {
    const etag = this.#fingerprint(path, value)
    return {
      version: etag.slice(0, 16) as VersionId,
      state: 'current',
      createdAt: changedAt ?? this.#context.clock.now(),
      etag: etag as Etag,
    }
  }

  /** Keyed: a plain hash of a value would let whoever sees it try passwords against it. */
  #fingerprint(path: StorePath, value: string): string {
    return createHmac('sha256', this.#context.etagKey).update(`${path}\0${value}`).digest('hex')
  }

  #absent(path: StorePath, { content }: Snapshot): BrokerError {
    const { file } = this.#options
    return new BrokerError(
      'not_found',
      content === undefined ? `${file} does not exist, so it has no ${path}` : `${file} has no variable ${path}`,
    )
  }
}

/** The value that counts: the last assignment's, as npm `dotenv` reads it. */
function valueIn({ assignments }: Snapshot, path: string): string | undefined {
  return assignments.findLast(({ name }) => name === path)?.value
}
