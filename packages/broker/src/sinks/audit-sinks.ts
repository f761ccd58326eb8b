import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { AuditLog, ChainPlace } from '@keyturn/audit'
import type { Config } from '@keyturn/config'
import { BrokerError, backoffMs, type Clock, type Random } from '@keyturn/core'
import type { Logger } from 'pino'
import { makePrivateFolder, writePrivate } from '../private-file.ts'
import { webhook } from './webhook.ts'

const pollMs = 500
const stopWithinMs = 2_000
const retryMaxMs = 60_000

/** Takes lines of the chain; resolves when the other side has them. */
export type Deliver = (lines: readonly string[], signal: AbortSignal) => Promise<void>

/** What the sinks of a broker are made of. */
export interface SinkParts {
  readonly config: Config
  readonly audit: Pick<AuditLog, 'follow'>
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

/**
 * Carries the audit chain to every sink of the config, each at its own pace. The chain itself is the spool: a sink that is away for a day costs no
 * memory and holds up nobody, and gets every line when it is back. A line may come twice, never out of order: its `seq` tells.
 */
export class AuditSinks {
  readonly #parts: SinkParts
  readonly #sinks: readonly Sink[]
  readonly #stop = new AbortController()
  #running: Promise<unknown> = Promise.resolve()

  /** `unsupported` for a kind that is not built: a record that nobody gets must not look kept. */
  constructor(parts: SinkParts) {
    this.#parts = parts
    this.#sinks = (parts.config.audit.sinks ?? []).flatMap(sink => {
      if (sink.kind === 'webhook') return sink.url === '' ? [] : [this.#sink(sink.url, webhook(sink))]
      throw new BrokerError('unsupported', `audit sinks of kind ${sink.kind} are not in this build`, { hint: 'take kind: webhook' })
    })
  }

  /** How many lines each sink took, and whether it answered last, for metrics. */
  get states(): readonly { readonly name: string; readonly delivered: number; readonly ok: boolean }[] {
    return this.#sinks.map(({ name, delivered, failures }) => ({ name, delivered, ok: failures === 0 }))
  }

  start(): void {
    this.#running = Promise.all(this.#sinks.map(sink => this.#carry(sink)))
  }

  /** Lets what is on its way arrive, for two seconds at most; the rest goes at the next start. */
  async stop(): Promise<void> {
    const late = this.#parts.clock.after(stopWithinMs, () => this.#stop.abort())
    for (const sink of this.#sinks) sink.leave()
    await this.#running
    late()
  }

  #sink(url: string, deliver: Deliver): Sink {
    const folder = join(this.#parts.config.broker.data, 'sinks')
    return new Sink(url, folder, deliver)
  }

  async #carry(sink: Sink): Promise<void> {
    const { audit, log, clock, random } = this.#parts
    while (!sink.left) {
      const { lines, place, missing } = audit.follow(sink.place)
      if (lines.length === 0) {
        await sink.pause(clock, pollMs)
        continue
      }
      try {
        if (missing > 0) log.error({ sink: sink.name, missing }, 'lines of the audit chain were gone before a sink had them')
        await sink.deliver(lines, this.#stop.signal)
        if (sink.failures > 0) log.info({ sink: sink.name }, 'an audit sink takes records again')
        sink.took(lines.length, place)
      } catch (thrown) {
        const code = thrown instanceof BrokerError ? thrown.message : 'internal'
        if (sink.failures === 0) log.warn({ sink: sink.name, why: code }, 'an audit sink does not take records; they wait in the chain')
        sink.failures += 1
        await sink.pause(clock, Math.min(retryMaxMs, backoffMs(sink.failures, random)))
      }
    }
  }
}

/** One sink, and how far it is. */
class Sink {
  /** Its host: a URL may hold what is not for logs. */
  readonly name: string
  readonly deliver: Deliver
  readonly #folder: string
  readonly #file: string
  place: ChainPlace | null
  delivered = 0
  failures = 0
  left = false
  #rouse: () => void = () => undefined

  constructor(url: string, folder: string, deliver: Deliver) {
    this.name = new URL(url).host
    this.deliver = deliver
    this.#folder = folder
    this.#file = `${createHash('sha256').update(url).digest('hex').slice(0, 16)}.json`
    const path = join(folder, this.#file)
    // written by `took`
    this.place = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as ChainPlace) : null
  }

  took(lines: number, place: ChainPlace | null): void {
    this.failures = 0
    this.delivered += lines
    this.place = place
    makePrivateFolder(this.#folder)
    writePrivate(this.#folder, this.#file, JSON.stringify(place))
  }

  leave(): void {
    this.left = true
    this.#rouse()
  }

  async pause(clock: Clock, ms: number): Promise<void> {
    if (this.left) return
    await new Promise<void>(resolve => {
      const cancel = clock.after(ms, resolve)
      this.#rouse = () => {
        cancel()
        resolve()
      }
    })
  }
}
