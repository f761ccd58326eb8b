import type { Kinds } from '@keyturn/config'
import {
  BrokerError,
  type Clock,
  type Random,
  type SecretName,
  type SecretValue,
  type SecretVersion,
  type Store,
  type StorePath,
  type VersionId,
  type VersionInfo,
  type Write,
} from '@keyturn/core'
import type { OpenStore } from '../compose.ts'
import { openSections } from '../open-sections.ts'
import type { Section } from '../section.ts'
import type { Deployment } from './deployment.ts'
import { type OnPause, Patience } from './patience.ts'

/** What a side of a copy is made with. */
export interface SideParts {
  readonly deployment: Deployment
  readonly store: string
  readonly kinds: Kinds<OpenStore>
  readonly clock: Clock
  readonly random: Random
  readonly env: NodeJS.ProcessEnv
  readonly onPause: OnPause
  /** Who copies, and in which run. */
  readonly principal: string
  readonly requestId: string
  /** What the record calls the source of its accesses; left out: a copy, and the store. */
  readonly source?: string
  /** Ends what is read and waited for; a write that went out is let come to its end. */
  readonly signal: AbortSignal
}

/** One of the two stores: its calls are patient, and each look at a value and each write is on the disk before it is used or told. */
export class Side {
  readonly #parts: SideParts
  readonly #patience: Patience
  #section: Section

  constructor(parts: SideParts) {
    this.#parts = parts
    this.#patience = new Patience(parts.clock, parts.onPause)
    this.#section = sectionOf(parts)
  }

  get name(): string {
    return this.#parts.store
  }

  get config() {
    return this.#parts.deployment.config
  }

  open(): Promise<Store> {
    return this.#section.open()
  }

  /** Fails when the store cannot be asked at all: every secret would only say so again. What it may not be asked in general says nothing of its secrets. */
  async mustAnswer(): Promise<void> {
    const { signal } = this.#parts
    await this.open().catch(error => {
      throw heldElsewhere(error)
    })
    try {
      const findings = await this.#patience.run(() => this.#section.ask(store => store.examine(null, { signal })), signal)
      const away = findings.find(({ code }) => code === 'unavailable' || code === 'unauthenticated')
      if (away?.code === undefined) return
      throw new BrokerError(away.code, `store ${this.name}: ${away.what}: ${away.detail ?? 'failed'}`, {
        ...(away.hint === undefined ? {} : { hint: away.hint }),
        detail: { store: this.name },
      })
    } catch (error) {
      if (!(error instanceof BrokerError) || !ofOneThing.has(error.code)) throw error
    }
  }

  async *list(under: string): AsyncIterable<StorePath> {
    const { signal } = this.#parts
    const store = await this.#section.open()
    yield* store.list(under, { signal })
  }

  /** A version, recorded for each name that it is read for; undefined where there is none. */
  async read(path: StorePath, names: readonly SecretName[], version?: VersionId): Promise<SecretVersion | undefined> {
    const { signal } = this.#parts
    const options = version === undefined ? { signal } : { signal, version }
    try {
      const found = await this.#patience.run(() => this.#section.ask(store => store.read(path, options)), signal)
      await this.#record('read', names, found.version, null)
      return found
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error
      if (error.code !== 'cancelled') await this.#record('read', names, version ?? null, error)
      if (error.code === 'not_found') return undefined
      throw error
    }
  }

  /** Versions, oldest first and the current one last, without those that nobody may read. */
  async versions(path: StorePath): Promise<{ readonly readable: readonly VersionInfo[]; readonly withheld: number }> {
    const { signal } = this.#parts
    const all = await this.#patience.run(() => this.#section.ask(store => Array.fromAsync(store.versions(path, { signal }))), signal)
    const ended = all.filter(({ state }) => state !== 'pending')
    const readable = ended.filter(({ state }) => state === 'older' || state === 'previous').reverse()
    const current = ended.filter(({ state }) => state === 'current')
    return { readable: [...readable, ...current], withheld: ended.length - readable.length - current.length }
  }

  /** Adds a version. After an answer that was lost, whoever called must look. */
  async write(path: StorePath, names: readonly SecretName[], value: SecretValue, options: Write): Promise<VersionInfo> {
    try {
      const made = await this.#patience.run(() => this.#section.ask(store => store.write(path, value, options)), this.#parts.signal)
      await this.#record('write', names, made.version, null)
      return made
    } catch (error) {
      if (error instanceof BrokerError && error.code !== 'cancelled') await this.#record('write', names, null, error)
      throw error
    }
  }

  /** Withholds a version. Twice is once. */
  async disable(path: StorePath, names: readonly SecretName[], version: VersionId): Promise<void> {
    try {
      await this.#patience.run(() => this.#section.ask(store => store.disable(path, version)), this.#parts.signal)
      await this.#record('write', names, version, null)
    } catch (error) {
      if (error instanceof BrokerError && error.code !== 'cancelled') await this.#record('write', names, version, error)
      throw error
    }
  }

  /** Forgets the connection: what is read from now on is read by a new one. */
  async reopen(): Promise<void> {
    await this.#section.close()
    this.#section = sectionOf(this.#parts)
  }

  close(): Promise<void> {
    return this.#section.close().catch(() => undefined)
  }

  /** Durable when it resolves. `unavailable` when it cannot be recorded, which ends the copy. */
  async #record(action: 'read' | 'write', names: readonly SecretName[], version: string | null, error: BrokerError | null): Promise<void> {
    const { deployment, principal, requestId, source = `copy: ${this.name}` } = this.#parts
    const outcome = error === null ? 'allowed' : 'failed'
    const event = {
      principal,
      action,
      version,
      field: null,
      outcome,
      code: error?.code ?? null,
      requestId,
      source,
    } as const
    try {
      await Promise.all(names.map(secret => deployment.audit.append({ ...event, secret })))
    } catch (cause) {
      throw new Unrecorded(cause)
    }
  }
}

/** Errors that say something of one question, and nothing of the next. */
const ofOneThing: ReadonlySet<string> = new Set(['permission_denied', 'not_found', 'unsupported'])

/** An embedded store opens for one process: the hint is another than that of a second broker. */
function heldElsewhere(error: unknown): unknown {
  if (!(error instanceof BrokerError) || !/ is in use by /.test(error.message)) return error
  return new BrokerError(error.code, error.message, {
    hint: 'a running broker holds it: stop the broker while this store is copied',
    cause: error.origin,
  })
}

/** The audit could not take a record: nothing more may be done, for any secret. */
export class Unrecorded extends Error {
  constructor(cause: unknown) {
    super('an access could not be recorded', { cause })
  }
}

function sectionOf({ deployment, store, kinds, clock, random, env }: SideParts): Section {
  const keys = { keyring: deployment.keyring, etagKey: deployment.keys.etag.key }
  const found = openSections({ config: deployment.config, kinds, clock, random, env }, keys).find(({ name }) => name === store)
  if (found === undefined) throw new BrokerError('not_found', `the config has no store ${store}`)
  return found
}
