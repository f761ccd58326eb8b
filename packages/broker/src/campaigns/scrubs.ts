import type { Clock, PassFailure } from '@keyturn/core'
import type { Campaign, Ledger } from '@keyturn/ledger'
import type { NamedFinding } from '../examine.ts'
import { type NameParts, nameOfRow } from './row-names.ts'
import { scrubEveryMs } from './scrub-pace.ts'
import { progressOf } from './view.ts'

/** Rows that are told one by one, of each database. */
const damagedMax = 1_000

/** What scrubs are begun with. */
export interface ScrubParts extends NameParts {
  readonly ledger: Pick<Ledger, 'campaigns' | 'secrets' | 'now'>
  readonly clock: Clock
}

/** A stored value that the last scrub found damaged, and no later one found healed. */
export interface DamagedValue {
  readonly database: string
  readonly secret: string
  readonly version: string
  /** When the scrub that found it began. */
  readonly since: Date
}

/** Begins the next scrub when it is due, whichever broker looks first, and drops what the last one left where it found nothing. */
export async function scrubIfDue({ ledger, parts }: ScrubParts): Promise<void> {
  const last = await ledger.campaigns.last('scrub')
  if (last !== null && (last.finishedAt === null || (await ledger.now()).getTime() - last.startedAt.getTime() < scrubEveryMs)) return
  const reason = 'every stored value, once a day'
  await ledger.campaigns.open({ kind: 'scrub', kekId: null, principal: 'keyturn', reason, state: 'running' })
  if (last === null || last.state === 'failed') return
  for (const part of parts) await (await part.open()).forget(last.id)
}

/** What the last scrub that went through everything found damaged, and what the one that runs has found so far. A database that is away says nothing. */
export async function damagedValues(known: ScrubParts): Promise<readonly DamagedValue[]> {
  const { campaigns } = known.ledger
  const [whole, last] = await Promise.all([campaigns.lastWhole('scrub'), campaigns.last('scrub')])
  const running = last?.finishedAt === null ? last : null
  const found = new Map<string, DamagedValue>()
  for (const scrub of [whole, running]) {
    for (const value of scrub === null ? [] : await damagedIn(known, scrub)) {
      const key = JSON.stringify([value.database, value.secret, value.version])
      if (!found.has(key)) found.set(key, value)
    }
  }
  return [...found.values()]
}

/** What an operator should see to of damaged values. */
export function damageFindings(damaged: readonly DamagedValue[]): readonly NamedFinding[] {
  return damaged.map(({ database, secret, version, since }) => ({
    ok: false,
    what: secret,
    name: 'value damaged',
    detail: `version ${version} in ${database} cannot be opened: found by the scrub of ${since.toISOString()}`,
    hint: 'restore it from a backup (keyturn restore), or write the secret anew; it is told until a later scrub finds it whole',
  }))
}

async function damagedIn(known: ScrubParts, scrub: Campaign): Promise<readonly DamagedValue[]> {
  const all = await progressOf(known.parts, scrub.id, known.clock, damagedMax)
  const rows = all.flatMap(({ part, failures }) => failures.filter(isDamage).map(failure => ({ part, ...failure })))
  const named = rows.map(async ({ part, slot }) => ({
    database: part,
    secret: await nameOfRow(known, part, slot),
    version: String(slot.number),
    since: scrub.startedAt,
  }))
  return Promise.all(named)
}

const isDamage = ({ code }: PassFailure): boolean => code === 'corrupt'
