import { createSecretKey, randomBytes, randomUUID } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import type { AuditEvent } from '@keyturn/audit'
import type { EnvelopeRow, SecretId } from '@keyturn/core'
import { SecretValue } from '@keyturn/core'
import { EnvelopeSealer, Keyring, WrapMeter } from '@keyturn/envelope'
import { MemoryLedger } from '@keyturn/ledger'
import { type CampaignParts, Campaigns } from '../../src/campaigns/campaigns.ts'
import type { Sealing } from '../../src/campaigns/outcomes.ts'
import { sealings } from '../../src/campaigns/sealings.ts'
import type { SealedPart } from '../../src/keys/sealed-parts.ts'
import { StillClock } from '../still-clock.ts'
import { SealedRows } from './sealed-rows.ts'

const random = { bytes: (count: number) => randomBytes(count), uuid: () => randomUUID() }
const keks = new Map(['v1', 'v2', 'v3'].map(id => [id, createSecretKey(randomBytes(32))]))
const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined }

/** The ledger and the databases of a deployment in memory, and brokers that come and go on them. */
export class Deployment {
  readonly clock = new StillClock()
  readonly ledger = new MemoryLedger(this.clock, random)
  readonly records: AuditEvent[] = []
  readonly databases: readonly SealedRows[]
  readonly values = new Map<SealedRows, readonly SecretValue[]>()
  #brokers = 0

  /** So many rows under v1 in each database; v1 is current. */
  constructor(rows: readonly number[]) {
    this.databases = rows.map((count, index) => this.#filled(`store-${index}`, count))
  }

  async open(): Promise<void> {
    const fingerprints = this.keyring().ids.map(id => ({ id, fingerprint: this.keyring().fingerprint(id) }))
    await this.ledger.keks.meet(fingerprints)
    await this.ledger.keks.promote('v1', { from: null, allows: () => true })
  }

  keyring(ids: readonly string[] = ['v1', 'v2', 'v3']): Keyring {
    return new Keyring({ keks: new Map([...keks].filter(([id]) => ids.includes(id))), current: ids[0] ?? 'v1' })
  }

  sealer(store: string, current = 'v1'): EnvelopeSealer {
    return new EnvelopeSealer({ keyring: new Keyring({ keks, current }), random, store, meter: null })
  }

  /** What opens and closes rows with every KEK. */
  sealing(store: string): Sealing {
    return sealings({ keyring: this.keyring(), random, meter: new WrapMeter({ add: async (_, count) => count }) })(store)
  }

  #filled(store: string, count: number): SealedRows {
    const sealer = this.sealer(store)
    const values = Array.from({ length: count }, (_, index) => SecretValue.text(`${store}/${index}`))
    const rows = values.map((value, index): EnvelopeRow => {
      const slot = { secretId: `sec_${store}_${index}` as SecretId, number: 1, kind: 'text' } as const
      return { slot, sealed: sealer.seal(slot, value) }
    })
    const database = new SealedRows(store, rows)
    this.values.set(database, values)
    return database
  }

  /** Makes a KEK current in the whole deployment. */
  async promote(to: string, from: string): Promise<void> {
    await this.ledger.keks.promote(to, { from, allows: () => true })
  }

  /** Another broker, not started; it holds every KEK unless told otherwise. */
  broker(options: { readonly holds?: readonly string[]; readonly more?: Partial<CampaignParts> } = {}): Campaigns {
    this.#brokers += 1
    const instance = `broker-${this.#brokers}`
    const keyring = this.keyring(options.holds)
    const parts = this.databases.map(
      (database, index): SealedPart => ({ name: `store ${index}`, section: `section ${index}`, open: async () => database }),
    )
    const meter = new WrapMeter({ add: async (_, count) => count })
    return new Campaigns({
      ledger: this.ledger,
      keyring,
      parts,
      sealing: sealings({ keyring, random, meter }),
      audit: { append: async event => void this.records.push(event) },
      clock: this.clock,
      random,
      log: quiet,
      instance,
      nameAt: (section, path) => (section === 'section 0' ? `named ${path}` : null),
      ...options.more,
    })
  }

  /** Lets everything run that can, and time pass, until something holds; fails when it does not within some simulated time. */
  async until(what: string, holds: () => boolean | Promise<boolean>, withinMs = 3_600_000): Promise<void> {
    const endMs = this.clock.now().getTime() + withinMs
    for (let idle = 0; idle < 20; ) {
      if (await holds()) return
      for (let turns = 0; turns < 10; turns += 1) await turn()
      if (await holds()) return
      idle = this.clock.next(endMs) ? 0 : idle + 1
    }
    throw new Error(`not within ${withinMs} ms of simulated time: ${what}`)
  }

  /** Opens every row by its own KEK and compares it with what was put in; answers with the KEKs. */
  opened(): readonly string[] {
    return this.databases.flatMap(database => {
      const sealer = this.sealer(database.store)
      return database.rows.map(({ slot, sealed }, index) => {
        if (slot.kind !== 'text') throw new Error('only texts were put in')
        const value = this.values.get(database)?.[index]
        if (value === undefined || !sealer.open({ ...slot, kind: slot.kind }, sealed).equals(value))
          throw new Error(`row ${index} of ${database.store} has changed`)
        return sealed.kekId
      })
    })
  }
}
