import { BrokerError, type StoreAdapter } from '@keyturn/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findToxiproxy, startToxiproxy, type Toxiproxy } from '../servers/toxiproxy.ts'
import { aws, moto } from './faults/aws.ts'
import { azure, azureGiven } from './faults/azure.ts'
import { type Fault, faults } from './faults/fault.ts'
import { gcp, gcpGiven } from './faults/gcp.ts'
import { kubernetes } from './faults/kubernetes.ts'
import { canary, facesOf, sightings, singing } from './faults/sighting.ts'
import type { Subject, Upstream } from './faults/subject.ts'
import { Trial } from './faults/trial.ts'
import { vault, vaultFake } from './faults/vault.ts'
import type { Departure } from './table.ts'
import { tally, tell } from './tell.ts'

/**
 * Every adapter behind a proxy that cuts, delays and misleads. While a fault lasts, each operation ends within its deadline with a code of the table and
 * shows nothing of a value, on connections that were there before and on an adapter that was just opened; once it is over, both work. What a failed write says is true: only `outcome_unknown` may have acted.
 */
const subjects: readonly Subject[] = [vault, aws, moto, azure, azureGiven, gcp, gcpGiven, kubernetes]
const binary = await findToxiproxy()
let proxy: Toxiproxy | undefined

beforeAll(async () => {
  if (binary !== undefined) proxy = await startToxiproxy(binary)
})
afterAll(() => proxy?.stop())

describe('a value in an error', () => {
  const secret = canary()
  const value = singing(secret, 1_000)
  test.each([
    ['in its message', new Error(`failed: ${value}`)],
    ['quoted in part', new Error(`Unexpected token, ..."${value.slice(100, 112)}"... is not valid JSON`)],
    ['in hex', new Error(Buffer.from(value).toString('hex'))],
    ['in base64', new Error(Buffer.from(`ab${value}`).toString('base64'))],
    ['in a URL', new Error(`/v1/x?value=${encodeURIComponent(value)}`)],
    ['in a property', Object.assign(new Error('failed'), { response: { body: { data: { key: value } } } })],
    ['in what is behind it', new Error('failed', { cause: new AggregateError([new Error(value)]) })],
    ['in what is behind a BrokerError', new BrokerError('internal', 'failed', { cause: { body: value } })],
  ])('%s is seen', (_where, error) => {
    expect(sightings(facesOf(error), [secret])).not.toEqual([])
    expect(sightings(facesOf(error), [canary()])).toEqual([])
  })
})

/** Adapters with one thing wrong, each with the fault that shows it and what is said then. */
const mutants: readonly {
  readonly title: string
  readonly fault: string
  readonly says: RegExp
  of(adapter: StoreAdapter): StoreAdapter
}[] = [
  {
    title: 'takes a lost answer for a write that was not sent',
    fault: 'a cut before the first byte of the answer',
    says: /what a failed write says of itself is not true/,
    of: adapter => ({ ...adapter, classify: () => ({ code: 'unavailable' }) }),
  },
  {
    title: 'takes any failure for an absence',
    fault: 'nobody listens',
    says: /not_found/,
    of: adapter => ({ ...adapter, classify: () => ({ code: 'not_found' }) }),
  },
  {
    title: 'puts what it was to write into its error',
    fault: 'nobody listens',
    says: /a value is shown/,
    of: adapter => ({
      ...adapter,
      write: (path, value, options) =>
        adapter.write(path, value, options).catch(() => {
          const content = value.reveal()
          const fields = 'fields' in content ? [...content.fields.values()].map(({ bytes }) => Buffer.from(bytes).toString()) : []
          throw new BrokerError('unavailable', 'failed', { cause: { request: { body: fields } } })
        }),
    }),
  },
  {
    title: 'never comes back after a failure',
    fault: 'nobody listens',
    says: /after the fault/,
    of(adapter) {
      let broken = false
      return {
        ...adapter,
        async read(path, options) {
          if (broken) throw new BrokerError('internal', 'the pool is poisoned')
          return adapter.read(path, options).catch((error: unknown) => {
            broken = true
            throw error
          })
        },
      }
    },
  },
  {
    title: 'answers from memory',
    fault: 'nobody listens',
    says: /ended well/,
    of(adapter) {
      const kept = new Map<string, Awaited<ReturnType<StoreAdapter['read']>>>()
      return {
        ...adapter,
        read: async (path, options) => {
          const found = kept.get(path) ?? (await adapter.read(path, options))
          kept.set(path, found)
          return found
        },
      }
    },
  },
]

describe.skipIf(binary === undefined)('an adapter that', () => {
  test.each(mutants)('$title is found out', { timeout: 60_000 }, async ({ fault: title, says, of }) => {
    const at = await vaultFake.start()
    const fault = faults.find(each => each.title === title)
    if ('absent' in at || proxy === undefined || fault === undefined) return expect.unreachable('it is all our own')
    const passage = await proxy.passage(at.port)
    const open = async () => of(await at.open(passage.port))
    const adapter = await open()
    try {
      await expect(new Trial({ subject: vaultFake, at, passage, adapter, open }).of(fault)).rejects.toThrow(says)
    } finally {
      await adapter.close()
      await at.stop()
    }
  })
})

describe.each(subjects)('adapter-$kind under faults', subject => {
  const counted = tally()
  const departures: Departure[] = []
  let upstream: Upstream | undefined
  let absent: string | undefined
  let adapter: StoreAdapter | undefined
  let trial: Trial | undefined

  beforeAll(async () => {
    const started = proxy === undefined ? { absent: 'no toxiproxy-server on PATH or in the cache of servers' } : await subject.start()
    if ('absent' in started) {
      absent = started.absent
      return
    }
    upstream = started
    // a server can only have started behind a proxy that is there
    const passage = await (proxy as Toxiproxy).passage(started.port)
    const open = () => started.open(passage.port)
    adapter = await open()
    trial = new Trial({ subject, at: started, passage, adapter, open })
  })
  afterAll(async () => {
    await trial?.clear()
    await adapter?.close()
    await upstream?.stop()
    if (absent === undefined && trial === undefined) counted.failed += 1
    const server = `toxiproxy ${proxy?.version ?? ''}`.trim()
    await tell({
      adapter: subject.kind,
      ...(absent === undefined ? { server: `${server} over ${upstream?.server ?? 'nothing'}` } : { server, absent }),
      ...counted,
      departures,
    })
  })

  const fitting = faults.filter(fault => fault.speaks === undefined || fault.speaks === subject.speaks)
  test.for(fitting)('$title', { timeout: 120_000 }, async (fault, { skip }) => {
    if (upstream === undefined || trial === undefined) return skip(absent)
    const why = cannot(fault, upstream)
    if (why !== undefined) {
      departures.push({ check: fault.title, why })
      return skip(why)
    }
    await trial.of(fault)
  })
})

/** Why a fault cannot be made in front of this backend; it can in front of our own. */
function cannot({ tls, inPlace }: Fault, at: Upstream): string | undefined {
  if (tls === true && at.tls === undefined) return 'it speaks no TLS'
  return inPlace === true && at.tls !== undefined && at.tls.own === undefined ? 'nobody else has the key of its certificate' : undefined
}
