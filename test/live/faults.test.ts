import { wallClock } from '@keyturn/conformance'
import { BrokerError, type ErrorCode, Store, type StoreAdapter } from '@keyturn/core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { findToxiproxy, type Passage, startToxiproxy, type Toxiproxy } from '../servers/toxiproxy.ts'
import { aws, moto } from './faults/aws.ts'
import { azure, azureGiven } from './faults/azure.ts'
import { deadlineMs, type Fault, faults, type Scene, valueBytes } from './faults/fault.ts'
import { gcp, gcpGiven } from './faults/gcp.ts'
import { kubernetes } from './faults/kubernetes.ts'
import { canary, Eavesdropper, facesOf, sightings, singing } from './faults/sighting.ts'
import type { Subject, Upstream } from './faults/subject.ts'
import { vault } from './faults/vault.ts'
import { startWrongGrpc } from './faults/wrong-grpc.ts'
import { startWrongServer, type WrongServer } from './faults/wrong-server.ts'
import type { Departure } from './table.ts'
import { tell } from './tell.ts'

/**
 * Every adapter behind a proxy that cuts, delays and misleads. While a fault lasts, each operation ends within its deadline with a code of the table and
 * shows nothing of a value, on connections that were there before and on an adapter that was just opened; once it is over, both work. What a failed write says is true: only `outcome_unknown` may have acted.
 */
const subjects: readonly Subject[] = [vault, aws, moto, azure, azureGiven, gcp, gcpGiven, kubernetes]
/** Two busy cores may be late, but not by much more than a deadline. */
const marginMs = 5_000
const healMs = 20_000
const atOnce = 4
/** So that connections that were ended are known to be, before the calls. */
const settleMs = 100

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

describe.each(subjects)('adapter-$kind under faults', subject => {
  const counted = { passed: 0, failed: 0 }
  const departures: Departure[] = []
  let upstream: Upstream | undefined
  let absent: string | undefined
  let passage: Passage
  let adapter: StoreAdapter
  let patient: Store
  let bounded: Store
  let prepared = false

  beforeAll(async () => {
    const started = proxy === undefined ? { absent: 'no toxiproxy-server on PATH or in the cache of servers' } : await subject.start()
    if ('absent' in started) {
      absent = started.absent
      return
    }
    upstream = started
    // a server can only have started behind a proxy that is there
    passage = await (proxy as Toxiproxy).passage(started.port)
    adapter = await started.open(passage.port)
    patient = new Store(adapter, { name: 'patient', clock: wallClock, timeoutMs: 30_000 })
    bounded = new Store(adapter, { name: 'bounded', clock: wallClock, timeoutMs: deadlineMs })
    prepared = true
  })
  afterEach(({ task }) => {
    if (task.result?.state !== 'skip') counted[task.result?.state === 'pass' ? 'passed' : 'failed'] += 1
  })
  afterAll(async () => {
    if (upstream !== undefined && prepared) await cleared(upstream)
    await adapter?.close()
    await upstream?.stop()
    if (absent === undefined && !prepared) counted.failed += 1
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
    if (upstream === undefined) return skip(absent)
    const why = cannot(fault, upstream)
    if (why !== undefined) {
      departures.push({ check: fault.title, why })
      return skip(why)
    }
    await tried(fault, upstream)
  })

  async function tried(fault: Fault, at: Upstream): Promise<void> {
    const name = `f${faults.indexOf(fault)}`
    const stored = canary()
    const written = canary()
    const value = (text: string) => at.value(singing(text, valueBytes))
    const intent = () => ({ idempotencyKey: crypto.randomUUID() })
    await patient.write(at.path('read'), value(stored), intent())
    // a late request of one fault must not be taken for that of another
    await patient.write(at.path(name), value(stored), intent())
    await Array.fromAsync(patient.list(at.prefix))
    // so that there is an open connection for each call below
    await Promise.all(Array.from({ length: 2 * atOnce + 1 }, () => patient.read(at.path('read'))))

    const fresh = await at.open(passage.port)
    const cold = new Store(fresh, { name: 'cold', clock: wallClock, timeoutMs: deadlineMs })
    const wrong: WrongServer[] = []
    const heard = new Eavesdropper()
    let ended: Ended[] = []
    try {
      await fault.apply(sceneOf(passage, subject, at, singing(stored, valueBytes), wrong))
      await settled()
      ended = await Promise.all([
        ...repeated('read', fault.read, () => bounded.read(at.path('read'))),
        ...repeated('list', fault.list, () => Array.fromAsync(bounded.list(at.prefix))),
        ...repeated('write', fault.write, () => bounded.write(at.path(name), value(written), intent()), 1),
        ...repeated('cold read', fault.read, () => cold.read(at.path('read')), 1),
        ...repeated('cold list', fault.list, () => Array.fromAsync(cold.list(at.prefix)), 1),
        ...repeated('cold write', coldCodes(fault.write), () => cold.write(at.path(name), value(written), intent()), 1),
      ])
      // what runs on behind an ended call would speak up now
      await new Promise(resolve => setTimeout(resolve, 100))
    } finally {
      heard.stop()
      await passage.heal()
      for (const each of wrong) await each.stop()
      await settled()
    }
    for (const { operation, expected, error, tookMs } of ended) {
      expect(error, `${operation} ended well`).toBeInstanceOf(BrokerError)
      expect(expected, `${operation}: ${String(error)}`).toContain((error as BrokerError).code)
      expect(tookMs).toBeLessThan(deadlineMs + marginMs)
    }
    expect(sightings([...heard.texts, ...ended.flatMap(({ error }) => facesOf(error))], [stored, written])).toEqual([])

    await healed(bounded, at)
    await healed(cold, at)
    await fresh.close()
    await Promise.all(Array.from({ length: 2 * atOnce }, () => bounded.read(at.path('read'))))
    expect(await Array.fromAsync(bounded.list(at.prefix))).toContain(at.path('read'))
    const writes = ended.filter(({ operation }) => operation.endsWith('write'))
    if (writes.length === 0) return
    const found = at.textOf((await patient.read(at.path(name))).value)
    const mayHaveActed = writes.some(({ error }) => (error as BrokerError).code === 'outcome_unknown')
    const possible = fault.acted === true && subject.writesAtOnce ? [written] : mayHaveActed ? [stored, written] : [stored]
    expect(possible.map(text => singing(text, valueBytes))).toContain(found)
    await bounded.write(at.path(name), value(stored), intent())
  }

  /** A server that was given is left as it was found. */
  async function cleared(at: Upstream): Promise<void> {
    for (const path of await Array.fromAsync(patient.list(at.prefix))) await patient.delete(path, { idempotencyKey: crypto.randomUUID() })
  }

  /** A channel may wait before it tries again, but not for long, and says nothing else than that it could not. */
  async function healed(store: Store, at: Upstream): Promise<void> {
    const until = Date.now() + healMs
    for (;;) {
      const error = await store.read(at.path('read')).then(
        () => undefined,
        (thrown: BrokerError) => thrown,
      )
      if (error === undefined) return
      expect(error.code).toBe('unavailable')
      if (Date.now() > until) throw error
      await new Promise(resolve => setTimeout(resolve, 100))
    }
  }
})

const settled = () => new Promise(resolve => setTimeout(resolve, settleMs))

/** How one call ended. */
interface Ended {
  readonly operation: string
  readonly expected: readonly ErrorCode[]
  readonly error: unknown
  readonly tookMs: number
}

function repeated(
  operation: string,
  expected: readonly ErrorCode[] | undefined,
  call: () => Promise<unknown>,
  times = atOnce,
): readonly Promise<Ended>[] {
  if (expected === undefined) return []
  return Array.from({ length: times }, async () => {
    const began = performance.now()
    const error: unknown = await call().then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    return { operation, expected, error, tookMs: performance.now() - began }
  })
}

/** Why a fault cannot be made in front of this backend; it can in front of our own. */
function cannot({ tls, inPlace }: Fault, at: Upstream): string | undefined {
  if (tls === true && at.tls === undefined) return 'it speaks no TLS'
  return inPlace === true && at.tls !== undefined && at.tls.own === undefined ? 'nobody else has the key of its certificate' : undefined
}

/** What a first call needs (a connection, a login) may fail before it goes out. */
function coldCodes(codes: Fault['write']): Fault['write'] {
  return codes?.includes('outcome_unknown') === true ? [...codes, 'unavailable'] : codes
}

function sceneOf(passage: Passage, { speaks }: Subject, at: Upstream, value: string, wrong: WrongServer[]): Scene {
  return {
    passage,
    async mislead(how, as = 'backend') {
      const certificate = as === 'plain' ? undefined : as === 'impostor' ? at.tls?.impostor : at.tls?.own
      const server = speaks === 'grpc' ? await startWrongGrpc(how, value, certificate) : await startWrongServer(how, value, certificate)
      wrong.push(server)
      await passage.lead(server.port)
    },
  }
}
