import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { systemClock } from '@keyturn/broker'
import { Store, type StorePath } from '@keyturn/core'
import { type Backend, backends, namesListed, type Reach } from './backends.ts'
import { median, type Row } from './row.ts'
import { pin } from './server.ts'

const inFlight = 32
const reads = 1_500
const singles = 300
const rounds = 6

/**
 * Each adapter against its SDK as it comes, on the same fake in a process of its own: reads with 32 in flight and the processor time of one of them,
 * which a busy machine blurs less, one read alone, and what listing 10,000 names keeps in memory.
 */
export async function adaptersBench(): Promise<readonly Row[]> {
  const rows: Row[] = []
  for (const backend of backends) rows.push(...(await measured(backend)))
  return rows
}

async function measured(backend: Backend): Promise<readonly Row[]> {
  const { child, reach } = await startFake(backend.kind)
  const store = new Store(await backend.open(reach), { name: backend.kind, clock: systemClock, timeoutMs: 60_000 })
  try {
    const path = backend.path as StorePath
    const ours = () => store.read(path)
    const bare = backend.bare(reach)
    const samples: { ours: Sample[]; bare: Sample[] } = { ours: [], bare: [] }
    const turns = [
      { read: ours, into: samples.ours },
      { read: bare, into: samples.bare },
    ]
    for (let round = 0; round <= rounds; round += 1) {
      // who is second clears up behind who was first
      for (const { read, into } of round % 2 === 0 ? turns : turns.toReversed()) {
        const one = await sample(read)
        // the first round warms both up
        if (round > 0) into.push(one)
      }
    }
    const { kind, sdk } = backend
    const row = (what: string, unit: string, pick: (sample: Sample) => number): Row => {
      const [value, bareValue] = [median(samples.ours.map(pick)), median(samples.bare.map(pick))]
      return { what: `${kind}: ${what}`, value, unit, ratio: value / bareValue, of: `${sdk} as it comes` }
    }
    return [
      row(`reads, ${inFlight} in flight`, 'a second', ({ rate }) => rate),
      row('processor time of one of them', 'us', ({ cpu }) => cpu),
      row('one read alone', 'us', ({ alone }) => alone),
      { what: `${kind}: memory of listing ${namesListed} names`, value: await listGrowth(store, backend.prefix), unit: 'MB above start' },
    ]
  } finally {
    await store.close()
    child.stdin?.end()
    await once(child, 'exit')
  }
}

async function startFake(kind: string): Promise<{ child: ChildProcess; reach: Reach }> {
  const file = join(import.meta.dirname, 'fake.ts')
  const child = spawn(process.execPath, ['--conditions=@keyturn/source', file, kind], { stdio: ['pipe', 'pipe', 'inherit'] })
  pin(child.pid, 0)
  for await (const line of createInterface({ input: child.stdout })) return { child, reach: JSON.parse(line) }
  throw new Error(`the fake of ${kind} said nothing`)
}

interface Sample {
  /** Reads a second with many in flight. */
  readonly rate: number
  /** Microseconds of processor time for one of those. */
  readonly cpu: number
  /** Microseconds until the answer with one in flight. */
  readonly alone: number
}

async function sample(read: () => Promise<unknown>): Promise<Sample> {
  let left = reads
  const [began, cpuBegan] = [performance.now(), process.cpuUsage()]
  const caller = async () => {
    while (left > 0) {
      left -= 1
      await read()
    }
  }
  await Promise.all(Array.from({ length: inFlight }, caller))
  const { user, system } = process.cpuUsage(cpuBegan)
  return { rate: (reads / (performance.now() - began)) * 1_000, cpu: (user + system) / reads, alone: await microseconds(read) }
}

async function microseconds(read: () => Promise<unknown>): Promise<number> {
  const took: number[] = []
  for (let index = 0; index < singles; index += 1) {
    const began = performance.now()
    await read()
    took.push((performance.now() - began) * 1_000)
  }
  return median(took)
}

/** The most that is held at any time while names go by, above what was held before; after one listing that warms up. */
async function listGrowth(store: Store, prefix: string): Promise<number> {
  const walk = async (look: () => void) => {
    let count = 0
    for await (const _ of store.list(prefix)) {
      count += 1
      if (count % 500 === 0) look()
    }
    if (count < namesListed) throw new Error(`${count} names of ${namesListed} were listed`)
  }
  await walk(() => undefined)
  setFlagsFromString('--expose-gc')
  const collect: () => void = runInNewContext('gc')
  const held = () => {
    collect()
    return process.memoryUsage().heapUsed + process.memoryUsage().external
  }
  // what the first listing left is let go in two steps
  held()
  await new Promise(resolve => setTimeout(resolve, 50))
  const start = held()
  let most = start
  await walk(() => {
    most = Math.max(most, held())
  })
  return (most - start) / 1e6
}
