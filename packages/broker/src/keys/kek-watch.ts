import { BrokerError } from '@keyturn/core'
import { usedUp, wrapsHard } from '@keyturn/envelope'
import type { KekRecord } from '@keyturn/ledger'
import type { Broker } from '../broker.ts'
import { named } from '../exchange.ts'
import { dueOf } from './kek-due.ts'
import { wrapsOf } from './kek-facts.ts'
import { activeOf } from './promotion.ts'
import { type PartUse, sumOf, useOf } from './sealed-parts.ts'

const lookEveryMs = 60_000
const dayMs = 24 * 3_600_000
/** For so long a KEK that was made and is not current yet keeps another one from being made. */
const makingMs = 3_600_000

/** What the watch of the KEKs needs of a broker. */
export type WatchParts = Pick<Broker, 'life' | 'ledger' | 'parts' | 'clock' | 'log' | 'audit' | 'config' | 'campaigns'>

/**
 * Looks at the KEKs once a minute: tells once a day that the current one is to be replaced, and replaces it where the config says so and the
 * provider can make keys. Reads and writes go on whatever it finds.
 */
export class KekWatch {
  readonly #broker: WatchParts
  #lookAgainMs = 0
  #looking: Promise<void> | null = null
  /** What was told of, by day: a name is made of both. */
  readonly #told = new Set<string>()
  /** What could not be read when it was last said. */
  #unreadable = ''

  constructor(broker: WatchParts) {
    this.#broker = broker
  }

  /** After a heartbeat: looks, when it is time. */
  beat(): void {
    const now = this.#broker.clock.now().getTime()
    if (now < this.#lookAgainMs || this.#looking !== null) return
    this.#lookAgainMs = now + lookEveryMs
    this.#looking = this.#look()
      .catch((error: unknown) => this.#broker.log.warn({ code: named(error).code }, 'the KEKs could not be looked at'))
      .finally(() => {
        this.#looking = null
      })
  }

  /** KEKs came or went: says what can, or cannot, be read now. */
  changed(): void {
    this.tellUnreadable().catch((error: unknown) => this.#broker.log.warn({ code: named(error).code }, 'the KEKs could not be looked at'))
  }

  /** Another KEK closes new values, by this broker's doing: a record of it, and the campaign that follows where the config wants it so. */
  async promoted(to: string, from: string | null): Promise<void> {
    const { audit, campaigns, config } = this.#broker
    const source = from === null ? 'the first' : `after ${from}`
    const event = { principal: 'keyturn', action: 'kek.promoted', secret: null, version: null, field: to, requestId: null, source }
    await audit.append({ ...event, outcome: 'allowed', code: null })
    const { keys } = config.broker
    if (from === null || !('auto' in keys) || keys.auto !== true) return
    await campaigns.begin({ kind: 'rewrap', principal: 'keyturn', reason: `KEK ${to} is current` })
  }

  async stop(): Promise<void> {
    await this.#looking
  }

  /** Says of which KEKs, that are not loaded, how many rows cannot be read; what was said is not said again until it changes. */
  async tellUnreadable(): Promise<void> {
    const { parts, clock, log, life } = this.#broker
    const uses = await useOf(parts, clock)
    const found = unreadable(uses, id => life.keyring.has(id))
    const said = JSON.stringify(found)
    if (said === this.#unreadable) return
    this.#unreadable = said
    for (const { kek, part, rows } of found) {
      if (isDestroyed(life.records, kek)) {
        log.warn({ kek, part, rows }, `KEK ${kek} was destroyed: ${rows} rows in ${part} are lost; delete them, or write them anew`)
        continue
      }
      log.error(
        { kek, part, rows },
        `KEK ${kek} is not loaded: ${rows} rows in ${part} cannot be read until it is put back; the rest is served`,
      )
    }
    for (const { part, error } of uses) {
      if (error === undefined) continue
      log.warn({ part, code: error.code }, `${part} could not be asked which KEKs its rows need`)
    }
    if (found.length === 0 && uses.every(({ error }) => error === undefined)) log.info('every KEK that rows need is loaded')
  }

  async #look(): Promise<void> {
    const { ledger, parts, clock, config, life } = this.#broker
    const [records, now, uses] = await Promise.all([ledger.keks.all(), ledger.now(), useOf(parts, clock)])
    const active = activeOf(records)
    if (active === undefined) return
    const wraps = wrapsOf({ uses }, active.id)
    // each database stops by itself too; together they stop here
    if (wraps >= wrapsHard) life.keyring.spend(active.id, usedUp(active.id, wraps))
    const { reasons, grave } = dueOf(active, wraps, now, config.rotation.kekThresholdMs)
    const [reason] = reasons
    if (reason === undefined) return
    // one for all: the broker that has been here for longest
    const [eldest] = life.live
    if (eldest === undefined || eldest.id === life.id) await this.#alert(active, now, reasons, grave)
    const { keys } = config.broker
    if ('auto' in keys && keys.auto === true) await this.#replace(active, records, { reason, now })
  }

  /** Once for a KEK and a day; a restart finds it in the chain. */
  async #alert({ id }: KekRecord, now: Date, reasons: readonly string[], grave: boolean): Promise<void> {
    const { audit, log } = this.#broker
    const day = now.toISOString().slice(0, 10)
    const requestId = `kek_due_${id}_${day}`
    if (this.#told.has(requestId)) return
    const isThere = await audit.contains([requestId], { notBefore: new Date(now.getTime() - 2 * dayMs) })
    this.#told.add(requestId)
    if (isThere.has(requestId)) return
    log[grave ? 'error' : 'warn']({ alert: 'kek_due', kek: id, reasons }, `KEK ${id} is to be replaced: ${reasons.join('; ')}`)
    await audit.append({
      principal: 'keyturn',
      action: 'alert',
      secret: null,
      version: null,
      field: id,
      outcome: 'failed',
      code: 'kek_due',
      requestId,
      source: reasons.join('; '),
    })
  }

  /** The id is the same for all brokers, so that one of them makes it and the others find it made. */
  async #replace(
    active: KekRecord,
    records: readonly KekRecord[],
    { reason, now }: { readonly reason: string; readonly now: Date },
  ): Promise<void> {
    const { life, log } = this.#broker
    const { make } = life.provider
    const isNew = ({ state, metAt }: KekRecord) => state === 'pre-active' && now.getTime() - metAt.getTime() < makingMs
    const isUnderWay = life.keyring.wanted !== active.id || records.some(isNew)
    if (make === undefined || isUnderWay) return
    const id = nextId(active.id, new Set(records.map(record => record.id)))
    try {
      await make(id, AbortSignal.timeout(30_000))
      log.info({ kek: id, before: active.id, reason }, 'a new KEK was made')
    } catch (error) {
      if (!(error instanceof BrokerError) || error.code !== 'conflict') throw error
    }
    await life.reload()
  }
}

/** Rows that cannot be read for want of their KEK, by KEK and database. */
export function unreadable(
  uses: readonly PartUse[],
  has: (id: string) => boolean,
): readonly { readonly kek: string; readonly part: string; readonly rows: number }[] {
  return uses.flatMap(({ part, keks = [] }) =>
    keks.map(({ id, needs }) => ({ kek: id, part, rows: sumOf(needs) })).filter(({ kek, rows }) => rows > 0 && !has(kek)),
  )
}

/** Whether a KEK is no more, so that nobody can put it back. */
export function isDestroyed(records: readonly KekRecord[], id: string): boolean {
  return records.some(record => record.id === id && record.state === 'destroyed')
}

/** `k2` after `k1`, `main-2` after `main`; what is taken is passed over. */
export function nextId(id: string, taken: ReadonlySet<string>): string {
  const [, stem = id, digits = ''] = /^(.*?)(\d{1,9})?$/.exec(id) ?? []
  const base = digits === '' ? `${stem.slice(0, 54)}-` : stem
  for (let number = digits === '' ? 2 : Number(digits) + 1; ; number += 1) {
    const next = `${base}${number}`
    if (!taken.has(next)) return next
  }
}
