import { isAbsolute, join, relative } from 'node:path'
import type { Config } from '@keyturn/config'
import type { BrokerError } from '@keyturn/core'
import type { NamedFinding } from '../examine.ts'
import { dueOf } from './kek-due.ts'
import { type KekFacts, wrapsOf } from './kek-facts.ts'
import { isDestroyed, unreadable } from './kek-watch.ts'
import { activeOf, promotion, promotionWord } from './promotion.ts'
import { exposure } from './retiring.ts'

/** What `doctor` and `check --online` say of KEKs: missing, to be replaced, waiting for other brokers, exposed. */
export function kekFindings(
  facts: Pick<KekFacts, 'records' | 'uses' | 'now' | 'live' | 'reencrypted'>,
  own: {
    readonly ids: readonly string[]
    readonly wanted: string
    readonly thresholdMs: number
    /** Destroyed KEKs that are still where the keys come from, and why. */
    readonly left?: ReadonlyMap<string, BrokerError>
  },
): readonly NamedFinding[] {
  const { records, uses, now, live } = facts
  const active = activeOf(records)
  const due = active === undefined ? [] : dueOf(active, wrapsOf(facts, active.id), now, own.thresholdMs).reasons
  const decided = promotion(records, live, own.wanted)
  const waits = active !== undefined && live.length > 0 && decided.kind === 'waiting'
  return [
    ...unreadable(uses, id => own.ids.includes(id)).map(({ kek, part, rows }) =>
      isDestroyed(records, kek)
        ? {
            ok: true,
            what: `KEK ${kek}`,
            detail: `it was destroyed: ${rows} rows in ${part} are lost`,
            hint: 'delete them, or write them anew',
          }
        : {
            ok: false,
            what: `KEK ${kek}`,
            name: 'KEK missing',
            detail: `it is not loaded: ${rows} rows in ${part} cannot be read`,
            hint: `put KEK ${kek} back`,
          },
    ),
    ...due.map(detail => ({
      ok: false,
      what: `KEK ${active?.id}`,
      name: 'KEK due',
      detail,
      hint: 'make a new KEK and promote it: keyturn kek new',
    })),
    ...(waits
      ? [
          {
            ok: false,
            what: `KEK ${own.wanted}`,
            name: 'promotion waiting',
            detail: `it is not current yet: ${promotionWord(decided, live.length)} brokers`,
            hint: 'start the other brokers again with it',
          },
        ]
      : []),
    ...[...(own.left ?? [])].map(([id, why]) => ({
      ok: false,
      what: `KEK ${id}`,
      name: 'KEK not gone',
      detail: `it was destroyed, and a copy is left: ${why.message}`,
      hint: why.hint ?? 'take it away from where the keys come from',
    })),
    ...records.flatMap(record =>
      exposure(facts, record).map(detail => ({
        ok: false,
        what: `KEK ${record.id}`,
        name: 'KEK compromised',
        detail,
        hint: 'keyturn kek reencrypt',
      })),
    ),
  ]
}

/** Keys that lie in the folder of what they close: whoever copies one has the other. Said in production alone. */
export function keysBesideData({ environment, broker: { keys, data } }: Config): readonly NamedFinding[] {
  if (environment !== 'production' || keys.provider !== 'file') return []
  const folder = keys.folder ?? join(data, 'keys')
  const inside = relative(data, folder)
  if (inside.startsWith('..') || isAbsolute(inside)) return []
  return [
    {
      ok: true,
      what: 'keys',
      detail: `warning: the keys are in ${folder}, beside the data that they close`,
      hint: 'keep them in another place: broker.keys.folder, or another provider',
    },
  ]
}
