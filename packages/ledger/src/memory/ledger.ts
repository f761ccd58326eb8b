import type { Clock, Random } from '@keyturn/core'
import type { Ledger } from '../ledger.ts'
import { MemoryBackups } from './backups.ts'
import { MemoryCampaigns } from './campaigns.ts'
import { MemoryEnvelopes } from './envelopes.ts'
import { MemoryInstances } from './instances.ts'
import { MemoryJournal } from './journal.ts'
import { MemoryKeks } from './keks.ts'
import { MemoryIdempotencyKeys, MemoryOperations, MemoryOutbox, MemorySealedRecords, MemoryTokens } from './registers.ts'
import { MemorySecrets } from './secrets.ts'
import { MemoryState } from './state.ts'

/**
 * The ledger in memory, for simulations: the same contract, no disk. Deterministic under a deterministic clock and random; cheap to
 * make by the thousand. What it takes and gives is copied, so nothing outside can change what is inside.
 */
export class MemoryLedger implements Ledger {
  readonly id: string
  readonly journal: MemoryJournal
  readonly secrets: MemorySecrets
  readonly operations: MemoryOperations
  readonly tokens: MemoryTokens
  readonly idempotency: MemoryIdempotencyKeys
  readonly outbox: MemoryOutbox
  readonly sealed: MemorySealedRecords
  readonly envelopes: MemoryEnvelopes
  readonly keks: MemoryKeks
  readonly instances: MemoryInstances
  readonly campaigns: MemoryCampaigns
  readonly backups: MemoryBackups
  readonly #state: MemoryState

  constructor(clock: Clock, random: Random) {
    const state = new MemoryState(clock, random)
    this.#state = state
    this.id = random.uuid()
    this.journal = new MemoryJournal(state)
    this.secrets = new MemorySecrets(state)
    this.operations = new MemoryOperations(state)
    this.tokens = new MemoryTokens(state)
    this.idempotency = new MemoryIdempotencyKeys(state)
    this.outbox = new MemoryOutbox(state)
    this.sealed = new MemorySealedRecords(state)
    this.envelopes = new MemoryEnvelopes(state, this.id)
    this.keks = new MemoryKeks(state)
    this.instances = new MemoryInstances(state)
    this.campaigns = new MemoryCampaigns(state)
    this.backups = new MemoryBackups(state)
  }

  async now(): Promise<Date> {
    return new Date(this.#state.clock.now())
  }

  async check(): Promise<void> {}

  async nextDeadline(): Promise<Date | null> {
    const { secrets, open } = this.#state
    const wakes = [...open.values()]
      .map(id => this.#state.held(id))
      // a holder is at work: nobody else can do anything before its lease ends
      .map(({ rotation, lease }) => (rotation.wakeAt === null ? null : Math.max(Number(rotation.wakeAt), Number(lease?.until ?? 0))))
    const due = [...secrets.values()].filter(({ id }) => !open.has(id)).map(({ nextRotationAt }) => nextRotationAt?.getTime() ?? null)
    const times = [...wakes, ...due].filter(time => time !== null)
    return times.length === 0 ? null : new Date(times.reduce((earliest, time) => Math.min(earliest, time)))
  }

  /** What an embedded ledger is after its process died and another one opened it: every lease is free at once, and abandoned. */
  restart(): void {
    const { rotations, clock } = this.#state
    this.#state.incarnation += 1
    for (const [id, held] of rotations) {
      if (held.lease !== null)
        rotations.set(id, { ...held, lease: { ...held.lease, until: new Date(Math.min(Number(held.lease.until), Number(clock.now()))) } })
    }
  }

  async close(): Promise<void> {}
}
