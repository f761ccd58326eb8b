import { randomUUID } from 'node:crypto'
import { BrokerError, type SecretVersion, type StoreAdapter, type Strategy } from '@keyturn/core'
import { breachesOn, faultsAt, placesOn, type Spoil } from './adapter-matrix.ts'
import { outsiderOn } from './adapter-scenarios.ts'
import { aws } from './backends/aws.ts'
import { azure } from './backends/azure.ts'
import type { Backend } from './backends/backend.ts'
import { database } from './backends/database.ts'
import { gcp } from './backends/gcp.ts'
import { kubernetes } from './backends/kubernetes.ts'
import { vaultKv1, vaultKv2 } from './backends/vault.ts'

/** A mistake of an adapter, put into a real one, and the rule that it must be found by. */
export interface PlantedAdapterBug {
  readonly title: string
  readonly backend: Backend
  readonly strategy: Strategy
  readonly spoil: Spoil
  readonly rule: RegExp
}

/** The same adapter, with members of its own in place of some. */
function altered(adapter: StoreAdapter, members: Partial<StoreAdapter>): StoreAdapter {
  return new Proxy(adapter, {
    get(target, key) {
      if (Object.hasOwn(members, key)) return Reflect.get(members, key)
      const own: unknown = Reflect.get(target, key, target)
      return typeof own === 'function' ? own.bind(target) : own
    },
  })
}

const isUnclear = (adapter: StoreAdapter, error: unknown) => adapter.classify(error).code === 'outcome_unknown'

/** One for each promise that the engine counts on. */
export const plantedAdapterBugs: readonly PlantedAdapterBug[] = [
  ...[azure, gcp].map(backend => ({
    title: 'answers a lost write with a second version',
    backend,
    strategy: 'generated' as const,
    rule: /exactly one new version/,
    spoil: (adapter: StoreAdapter) =>
      altered(adapter, {
        write: (path, value, options) =>
          adapter.write(path, value, options).catch(error => {
            if (isUnclear(adapter, error)) return adapter.write(path, value, { ...options, idempotencyKey: randomUUID() })
            throw error
          }),
      }),
  })),
  {
    title: 'takes a connection that was cut for a secret that is not there',
    backend: vaultKv2(),
    strategy: 'generated',
    rule: /dropped: ends: the rotation stands at aborted/,
    spoil: adapter =>
      altered(adapter, {
        classify: error => (isUnclear(adapter, error) ? { code: 'not_found' } : adapter.classify(error)),
      }),
  },
  {
    title: 'writes whatever is there meanwhile',
    backend: kubernetes,
    strategy: 'generated',
    rule: /what they wrote is gone/,
    spoil: adapter =>
      altered(adapter, {
        write: (path, value, { ifMatch: _, ...options }) => adapter.write(path, value, options),
      }),
  },
  {
    title: 'withholds the secret in place of its old version',
    backend: vaultKv2(),
    strategy: 'generated',
    rule: /no lock-out: the store serves nothing/,
    spoil: adapter =>
      altered(adapter, {
        disable: async (path, _, options) => adapter.delete?.(path, { ...options, idempotencyKey: randomUUID() }),
      }),
  },
  {
    title: 'makes a staged version current at once',
    backend: database,
    strategy: 'api-key-pair',
    rule: /what they wrote is gone/,
    spoil: adapter =>
      altered(adapter, {
        stages: { promote: adapter.stages?.promote as never, stage: (path, value, options) => adapter.write(path, value, options) },
      }),
  },
  {
    title: 'stages a new version at every attempt',
    backend: aws,
    strategy: 'key-set',
    rule: /exactly one new version/,
    spoil: adapter => {
      const { stages } = adapter
      if (stages === undefined) return adapter
      return altered(adapter, {
        stages: {
          stage: (path, value, options) => stages.stage(path, value, { ...options, idempotencyKey: randomUUID() }),
          promote: (path, move, options) => stages.promote(path, move, options),
        },
      })
    },
  },
  {
    title: 'takes a secret away to write it anew',
    backend: vaultKv1,
    strategy: 'api-key-pair',
    rule: /no lock-out: the store serves nothing/,
    spoil: adapter =>
      altered(adapter, {
        write: async (path, value, options) => {
          await adapter.delete?.(path, options)
          return adapter.write(path, value, options)
        },
      }),
  },
  {
    title: 'gives what it read before',
    backend: vaultKv2(),
    strategy: 'generated',
    rule: /ends: the rotation stands at/,
    spoil: adapter => {
      let remembered: Promise<SecretVersion> | undefined
      return altered(adapter, {
        read(path, options) {
          if (options.version !== undefined) return adapter.read(path, options)
          remembered ??= adapter.read(path, options)
          return remembered
        },
      })
    },
  },
  {
    title: 'takes a connection that was cut for a conflict',
    backend: azure,
    strategy: 'generated',
    rule: /dropped: ends: the rotation stands at aborted/,
    spoil: adapter =>
      altered(adapter, {
        classify: error => (isUnclear(adapter, error) ? { code: 'conflict' } : adapter.classify(error)),
      }),
  },
]

/** The first thing that goes wrong with an adapter that has a bug, in words; undefined when nothing does. */
export async function firstBreachOf({ backend, strategy, spoil }: PlantedAdapterBug): Promise<string | undefined> {
  try {
    const places = await placesOn(backend, strategy, spoil)
    const lost = await outsiderOn(backend, strategy, spoil)
    if (lost.length > 0) return `someone else writes ${lost.join('; ')}`
    const faults = [...faultsAt(places, 'changes'), ...faultsAt(places, 'everywhere')]
    for await (const { where, violations } of breachesOn(backend, strategy, faults, spoil)) return `${where}: ${violations.join('; ')}`
    return undefined
  } catch (error) {
    // a passage in which nothing goes wrong breaks already
    if (error instanceof BrokerError) throw error
    return (error as Error).message
  }
}
