import type { AuditEvent } from '@keyturn/audit'
import type { OutboxRow } from '@keyturn/ledger'
import type { Broker } from './broker.ts'

const batchRows = 500

/**
 * Carries the engine's events from the ledger into the audit chain, each once, and into that of one broker: what the chain may have from a life before this one is
 * looked up there, what it has from this life is remembered.
 */
export class OutboxCarrier {
  readonly #broker: Pick<Broker, 'ledger' | 'audit'>
  /** Events of before this moment may have been appended by a process that died before it could say so. */
  #looked = false
  readonly #appended = new Set<number>()
  #running: Promise<void> = Promise.resolve()
  #next: Promise<void> | null = null

  constructor(broker: Pick<Broker, 'ledger' | 'audit'>) {
    this.#broker = broker
  }

  /** Carries all that waits; resolves when every one of them is durable in the chain. `unavailable` when audit cannot be written. */
  carry(): Promise<void> {
    // one at a time, or both would append the same rows; whoever comes while one runs shares the next
    this.#next ??= this.#running
      .catch(() => undefined)
      .then(() => {
        this.#next = null
        this.#running = this.#carry()
        return this.#running
      })
    return this.#next
  }

  async #carry(): Promise<void> {
    const { ledger, audit } = this.#broker
    for (;;) {
      // what somebody else is carrying is waited for: it is not durable yet
      if ((await ledger.outbox.pending(1)).length === 0) return
      const carried: number[] = []
      await ledger.outbox.deliver(batchRows, async rows => {
        if (!this.#looked && rows.length > 0) await this.#look(rows)
        await Promise.all(rows.filter(row => !this.#appended.has(row.id)).map(row => this.#append(audit, row)))
        carried.push(...rows.map(row => row.id))
      })
      for (const id of carried) this.#appended.delete(id)
    }
  }

  async #append(audit: Broker['audit'], row: OutboxRow): Promise<void> {
    await audit.append(eventOf(row))
    this.#appended.add(row.id)
  }

  /** What is pending at the start of a life is at most what its predecessor left. */
  async #look(first: readonly OutboxRow[]): Promise<void> {
    const { audit } = this.#broker
    const oldest = first[0]?.at
    const found = await audit.contains(
      first.map(requestIdOf),
      oldest === undefined ? {} : { notBefore: new Date(oldest.getTime() - 60_000) },
    )
    for (const row of first) if (found.has(requestIdOf(row))) this.#appended.add(row.id)
    if (first.length < batchRows) this.#looked = true
  }
}

const requestIdOf = (row: OutboxRow): string => `evt_${row.id}`

function eventOf(row: OutboxRow): AuditEvent {
  const { action, secret, version, outcome, code } = row
  return { principal: 'keyturn', action, secret, version, field: null, outcome, code, requestId: requestIdOf(row), source: row.rotation }
}
