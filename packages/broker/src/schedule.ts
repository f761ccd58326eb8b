import { BrokerError, dueTime, isOver, type LedgerVersion } from '@keyturn/core'
import type { SecretRow } from '@keyturn/ledger'
import type { Broker } from './broker.ts'
import type { Entry, Place } from './catalog.ts'
import { named } from './exchange.ts'
import { openRotation } from './operations/start.ts'
import { settle } from './writes/write.ts'

const retryMs = 60_000
const dueRows = 200
const looksAtOnce = 8

/**
 * Brings the ledger in line with the config at start: a row for every secret that the config names, a due time for those with a schedule,
 * a first rotation for those that are to be made. What a store keeps us from doing now is left, and named in the answer for the next try.
 */
export async function align(broker: Broker, entries: readonly Entry[]): Promise<readonly Entry[]> {
  const left: Entry[] = []
  const waiting = [...entries]
  const take = async () => {
    for (let entry = waiting.shift(); entry !== undefined; entry = waiting.shift()) {
      try {
        await alignOne(broker, entry)
      } catch (error) {
        const { code, message: why } = named(error)
        const where = { secret: entry.name, store: entry.section.name, code, why }
        broker.log.warn(where, 'a secret could not be looked at; it will be tried again')
        left.push(entry)
      }
    }
  }
  await Promise.all(Array.from({ length: looksAtOnce }, take))
  return left
}

async function alignOne(broker: Broker, entry: Entry): Promise<void> {
  const { strategy, built, every, makeAtStart } = entry.config
  const row = await broker.ledger.secrets.ensure(entry.name)
  if (row.rotation !== null && !isOver(row.rotation.state)) return
  if (strategy === null || !built) return unschedule(broker, row)
  if (makeAtStart && !(await exists(entry))) {
    for (const place of entry.others) if (await exists(place)) throw elsewhere(entry, place)
    const wish = { reason: 'first version', mode: 'normal', graceOverrideMs: null, trigger: 'first' } as const
    await openRotation(broker, entry, row.id, wish, null)
    return
  }
  if (every === null) return unschedule(broker, row)
  await reschedule(broker, entry, row, every.ms)
}

async function unschedule(broker: Broker, row: SecretRow): Promise<void> {
  if (row.nextRotationAt !== null) await broker.ledger.secrets.schedule(row.id, null, row.nextRotationAt)
}

/** Due by its last promotion and the period of today's config; what was put off after a failure stays put off. */
async function reschedule(broker: Broker, entry: Entry, row: SecretRow, everyMs: number): Promise<void> {
  const since = promotedAt(await broker.journal.versions(row.id)) ?? (await madeAt(entry))
  if (since === null) return unschedule(broker, row)
  const due = dueTime(since, everyMs, row.id)
  const isPutOff = row.rotation?.state === 'aborted' && row.nextRotationAt !== null && row.nextRotationAt > due
  if (!isPutOff && row.nextRotationAt?.getTime() !== due.getTime()) await broker.ledger.secrets.schedule(row.id, due, row.nextRotationAt)
}

function promotedAt(versions: readonly LedgerVersion[]): Date | null {
  const supersededAt = versions.map(version => version.supersededAt?.getTime() ?? 0)
  const current = versions.find(version => version.label === 'current')
  if (current === undefined) return null
  return new Date(Math.max(current.createdAt.getTime(), ...supersededAt))
}

async function madeAt(place: Place): Promise<Date | null> {
  try {
    return (await place.section.ask(store => store.read(place.path))).createdAt
  } catch (error) {
    if (error instanceof BrokerError && error.code === 'not_found') return null
    throw error
  }
}

async function exists(place: Place): Promise<boolean> {
  return (await madeAt(place)) !== null
}

/** A first version is made where there is none at all: it would be written over what another store has. */
function elsewhere(entry: Entry, { section }: Place): BrokerError {
  return new BrokerError(
    'precondition_failed',
    `${entry.name} is in ${section.name} and not in ${entry.section.name}, so no first version is made`,
    {
      hint: `write it to ${entry.section.name}, or put ${section.name} first in from:`,
    },
  )
}

/** Opens a rotation for every secret that is due. One that cannot be opened is put off and stops no other. Other brokers do the same at the same time. */
export async function openDue(broker: Broker): Promise<void> {
  for (const row of await broker.ledger.secrets.due(dueRows)) {
    const { id, name, nextRotationAt: dueAt } = row
    // not by a row of `due`
    if (dueAt === null) continue
    const entry = broker.catalog.find(name)
    try {
      if (entry === null || entry.config.strategy === null || !entry.config.built) await broker.ledger.secrets.schedule(id, null, dueAt)
      else await openRotation(broker, entry, id, { ...bySchedule, dueAt }, null)
    } catch (error) {
      const { code, retryAfterMs = retryMs } = named(error)
      await putOff(broker, { ...row, nextRotationAt: dueAt }, code, retryAfterMs)
    }
  }
}

const bySchedule = { reason: 'schedule', mode: 'normal', graceOverrideMs: null, trigger: 'schedule' } as const

/** Where another broker was faster there is nothing to put off. What cannot be put off either stays due, and keeps nobody else from being opened. */
async function putOff(broker: Broker, { id, name, nextRotationAt: dueAt }: DueRow, code: string, forMs: number): Promise<void> {
  const { ledger, log } = broker
  try {
    const row = await ledger.secrets.byId(id)
    if (row?.nextRotationAt?.getTime() !== dueAt.getTime() || (row.rotation !== null && !isOver(row.rotation.state))) return
    log.warn({ secret: name, code }, 'a rotation that is due could not be opened')
    await ledger.secrets.schedule(id, new Date((await ledger.now()).getTime() + forMs), dueAt)
  } catch (error) {
    log.warn({ secret: name, code: named(error).code }, 'a rotation that is due could not be put off')
  }
}

type DueRow = SecretRow & { readonly nextRotationAt: Date }

/** Settles the writes that a process left behind when it died, by looking at the store. False: some of them could not be looked at yet. */
export async function settleWrites(broker: Broker): Promise<boolean> {
  let settled = true
  for (const intent of await broker.ledger.secrets.unfinishedWrites()) {
    const row = await broker.ledger.secrets.byId(intent.secretId)
    const entry = row === null ? null : broker.catalog.find(row.name)
    if (row === null || entry === null) continue
    try {
      const made = await broker.turns.run(row.name, () => entry.section.ask(store => settle(broker, store, entry, intent)))
      await broker.audit.append({
        principal: 'keyturn',
        action: 'write.settled',
        secret: row.name,
        version: made?.version ?? null,
        field: null,
        outcome: made === null ? 'failed' : 'allowed',
        code: made === null ? 'unavailable' : null,
        requestId: null,
        source: null,
      })
    } catch (error) {
      settled = false
      broker.log.warn({ secret: row.name, code: named(error).code }, 'a write that was cut off could not be settled yet')
    }
  }
  return settled
}
