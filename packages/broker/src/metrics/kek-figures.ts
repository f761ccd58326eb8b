import type { Broker } from '../broker.ts'
import { dueOf } from '../keys/kek-due.ts'
import { type KekFacts, kekFacts, wrapsOf } from '../keys/kek-facts.ts'
import { activeOf } from '../keys/promotion.ts'
import { sumOf } from '../keys/sealed-parts.ts'
import type { Metric, Sample } from './registry.ts'

/** The figures of the KEKs: what needs each, how old and how worn it is, who holds it. Ids of KEKs and names of stores, never of secrets. */
export async function kekFigures(broker: Broker): Promise<readonly Metric[]> {
  const facts = await kekFacts(broker)
  const active = activeOf(facts.records)
  const { keyring } = broker.life
  const known = facts.records.filter(({ state }) => state !== 'destroyed')
  const ofEach = (value: (record: (typeof known)[number]) => number): readonly Sample[] =>
    known.map(record => ({ labels: { kek: record.id }, value: value(record) }))
  const due = active === undefined ? [] : dueOf(active, wrapsOf(facts, active.id), facts.now, broker.config.rotation.kekThresholdMs).reasons
  return [
    {
      name: 'keyturn_kek_rows',
      kind: 'gauge',
      help: 'Envelopes that need a KEK, by database; part backups: versions in bundles',
      samples: rowsOf(facts),
    },
    {
      name: 'keyturn_kek_age_seconds',
      kind: 'gauge',
      help: 'Since a KEK first became current',
      samples: known.flatMap(({ id, currentSince }) =>
        currentSince === null ? [] : [{ labels: { kek: id }, value: (facts.now.getTime() - currentSince.getTime()) / 1000 }],
      ),
    },
    {
      name: 'keyturn_kek_wraps',
      kind: 'gauge',
      help: 'Uses of a KEK as reserved, in all databases',
      samples: ofEach(({ id }) => wrapsOf(facts, id)),
    },
    {
      name: 'keyturn_kek_loaded',
      kind: 'gauge',
      help: 'Whether this broker holds a KEK',
      samples: ofEach(({ id }) => Number(keyring.has(id))),
    },
    {
      name: 'keyturn_kek_current',
      kind: 'gauge',
      help: 'Whether a KEK closes new values',
      samples: ofEach(({ state }) => Number(state === 'active')),
    },
    {
      name: 'keyturn_kek_due',
      kind: 'gauge',
      help: 'Whether the current KEK is to be replaced, by age or use',
      samples: [{ value: Number(due.length > 0) }],
    },
    {
      name: 'keyturn_kek_promotion_waiting',
      kind: 'gauge',
      help: 'Whether the wanted KEK is not yet current',
      samples: [{ value: Number(active?.id !== keyring.wanted) }],
    },
    {
      name: 'keyturn_kek_provider_up',
      kind: 'gauge',
      help: 'Whether the last answer of the provider of the keys was taken over',
      samples: [{ value: Number(broker.life.keys.health.error === null) }],
    },
    {
      name: 'keyturn_brokers_live',
      kind: 'gauge',
      help: 'Brokers with a heartbeat younger than a minute',
      samples: [{ value: facts.live.length }],
    },
  ]
}

function rowsOf({ uses, backups, records }: KekFacts): readonly Sample[] {
  const rows = uses.flatMap(({ part, keks = [] }) => keks.map(({ id, needs }) => ({ labels: { kek: id, part }, value: sumOf(needs) })))
  const bundles = records.map(({ id }) => ({
    labels: { kek: id, part: 'backups' },
    value: backups.reduce((sum, { keks }) => sum + (keks[id] ?? 0), 0),
  }))
  return [...rows, ...bundles.filter(({ value }) => value > 0)]
}
