import { isOver } from '@keyturn/core'
import type { Broker } from '../broker.ts'
import { kekFigures } from './kek-figures.ts'
import type { Metric } from './registry.ts'
import { Registry } from './registry.ts'

/** How many open rotations are counted at most. */
const rotationsMax = 10_000

/** Everything that a broker tells of itself. */
export function brokerRegistry(broker: Broker): Registry {
  const registry = new Registry()
  registry.add('service', async () => serviceFigures(broker))
  registry.add('keks', () => kekFigures(broker))
  registry.add('campaigns', () => campaignFigures(broker))
  registry.add('rotations', () => rotationFigures(broker))
  return registry
}

function serviceFigures(broker: Broker): readonly Metric[] {
  const stores = Object.entries(broker.storeStates())
  const sinks = broker.sinkStates()
  return [
    {
      name: 'keyturn_build_info',
      kind: 'gauge',
      help: 'The version of this build',
      samples: [{ labels: { version: broker.version, node: process.version }, value: 1 }],
    },
    {
      name: 'keyturn_store_up',
      kind: 'gauge',
      help: 'Whether a store answered when it was last asked',
      samples: stores.map(([store, state]) => ({ labels: { store }, value: Number(state === 'ok') })),
    },
    {
      name: 'keyturn_audit_up',
      kind: 'gauge',
      help: 'Whether the audit chain can be written',
      samples: [{ value: Number(broker.audit.healthy()) }],
    },
    {
      name: 'keyturn_audit_sink_up',
      kind: 'gauge',
      help: 'Whether an audit sink took records when it was last given some; they wait in the chain',
      samples: sinks.map(({ name, ok }) => ({ labels: { sink: name }, value: Number(ok) })),
    },
    {
      name: 'keyturn_audit_sink_records_total',
      kind: 'counter',
      help: 'Records that it took since this process began',
      samples: sinks.map(({ name, delivered }) => ({ labels: { sink: name }, value: delivered })),
    },
    {
      name: 'process_resident_memory_bytes',
      kind: 'gauge',
      help: 'Memory of the process',
      samples: [{ value: process.memoryUsage.rss() }],
    },
    {
      name: 'process_start_time_seconds',
      kind: 'gauge',
      help: 'When the process began',
      samples: [{ value: Math.round(Date.now() / 1000 - process.uptime()) }],
    },
  ]
}

async function campaignFigures({ campaigns }: Broker): Promise<readonly Metric[]> {
  const [figures, damaged] = await Promise.all([campaigns.figures(), campaigns.damaged()])
  const newest = figures.flatMap(({ kind, newest: last }) => (last === null ? [] : [{ kind, ...last }]))
  const count = (word: 'total' | 'done' | 'skipped' | 'failed', help: string): Metric => ({
    name: `keyturn_campaign_${word}`,
    kind: 'gauge',
    help,
    samples: newest.map(({ kind, progress }) => ({ labels: { kind }, value: progress[word] })),
  })
  const own = (word: string, help: string, value: (one: (typeof figures)[number]) => number): Metric => ({
    name: `keyturn_campaign_${word}_total`,
    kind: 'counter',
    help,
    samples: figures.map(one => ({ labels: { kind: one.kind }, value: value(one) })),
  })
  return [
    count('total', 'Rows of the newest campaign of a kind'),
    count('done', 'Rows that it has finished'),
    count('skipped', 'Rows that changed under it'),
    count('failed', 'Rows that it could not open'),
    {
      name: 'keyturn_campaign_running',
      kind: 'gauge',
      help: 'Whether a campaign of a kind runs or waits',
      samples: newest.map(({ kind, campaign }) => ({ labels: { kind }, value: Number(campaign.finishedAt === null) })),
    },
    {
      name: 'keyturn_scrub_last_finished_seconds',
      kind: 'gauge',
      help: 'When every stored value was last opened, as a Unix time',
      samples: newest.flatMap(({ kind, campaign: { finishedAt } }) =>
        kind !== 'scrub' || finishedAt === null ? [] : [{ value: finishedAt.getTime() / 1000 }],
      ),
    },
    {
      name: 'keyturn_damaged_values',
      kind: 'gauge',
      help: 'Stored values that the last scrub found damaged, and no later one found healed',
      samples: [{ value: damaged.length }],
    },
    own('rows', 'Rows that this broker went through', ({ rows }) => rows),
    own('damaged_rows', 'Of these, rows that are damaged', ({ damaged }) => damaged),
    own('unreadable_rows', 'Of these, rows whose KEK is not loaded', ({ unreadable }) => unreadable),
  ]
}

async function rotationFigures({ ledger }: Broker): Promise<readonly Metric[]> {
  const [open, due] = await Promise.all([
    ledger.secrets.page({ after: null, limit: rotationsMax, open: true }),
    ledger.secrets.due(rotationsMax),
  ])
  const states = new Map<string, number>()
  for (const { rotation } of open) {
    if (rotation === null || isOver(rotation.state)) continue
    states.set(rotation.state, (states.get(rotation.state) ?? 0) + 1)
  }
  return [
    {
      name: 'keyturn_rotations_open',
      kind: 'gauge',
      help: 'Open rotations by state',
      samples: [...states].map(([state, value]) => ({ labels: { state }, value })),
    },
    {
      name: 'keyturn_rotations_due',
      kind: 'gauge',
      help: 'Secrets that are due and have no open rotation',
      samples: [{ value: due.length }],
    },
  ]
}
