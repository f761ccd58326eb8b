import { createSecretKey, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { pooledRandom, systemClock } from '@keyturn/broker'
import { MemoryBackend, memoryShapes, openMemoryStore } from '@keyturn/conformance'
import { RotationEngine, Store, type StorePath, secretName } from '@keyturn/core'
import { EnvelopeSealer, Keyring } from '@keyturn/envelope'
import { openLedger } from '@keyturn/ledger'
import { median, type Row } from './row.ts'

const rotations = 200
const rounds = 5

/** Whole rotations, from queued to done, on the embedded ledger with its disk, against as many bare commits on the same disk. */
export async function engineBench(): Promise<readonly Row[]> {
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'))
  try {
    const run = await passages(folder)
    const [rates, bareRates]: [number[], number[]] = [[], []]
    let commits = 0
    for (let round = 0; round < rounds; round += 1) {
      const began = performance.now()
      commits = await run(round)
      rates.push((rotations / (performance.now() - began)) * 1_000)
      bareRates.push(bareCommits(join(folder, `bare-${round}.db`), commits))
    }
    const [rate, bare] = [median(rates), median(bareRates) / (commits / rotations)]
    return [
      {
        what: 'rotations on SQLite, queued to done',
        value: rate,
        unit: 'a second',
        ratio: rate / bare,
        of: `${commits / rotations} bare commits each`,
      },
      { what: '  bare commits on the same disk', value: median(bareRates), unit: 'a second' },
    ]
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function passages(folder: string): Promise<(round: number) => Promise<number>> {
  const [clock, random] = [systemClock, pooledRandom()]
  const ledger = await openLedger({ data: folder, clock, random })
  const backend = new MemoryBackend(memoryShapes.counted, { clock, random })
  const store = new Store(openMemoryStore(backend), { name: 'memory', clock, timeoutMs: 30_000 })
  let commits = 0
  const counting = new Proxy(ledger.journal, {
    get(journal, key) {
      const member: unknown = Reflect.get(journal, key, journal)
      if (typeof member !== 'function') return member
      return async (...args: readonly unknown[]) => {
        if (['open', 'claim', 'record', 'reserve', 'undelivered'].includes(String(key))) commits += 1
        // `done` waits for the audit chain: here the events are carried off at once
        if (key === 'undelivered') await ledger.outbox.delivered((await ledger.outbox.pending(1_000)).map(event => event.id))
        return member.apply(journal, args)
      }
    },
  })
  const keyring = new Keyring({ current: 'k1', keks: new Map([['k1', createSecretKey(randomBytes(32))]]) })
  const settings = {
    type: 'generic',
    everyMs: 86_400_000,
    graceMs: 0,
    generate: { bytes: 32, encoding: 'base64url' as const },
    renew: null,
    rules: { windows: [], freezes: [] },
    distributeMs: 0,
    approval: false,
  }
  const engine = new RotationEngine({
    clock,
    random,
    calendar: { allows: () => ({ open: true, next: null }) },
    journal: counting,
    sealer: new EnvelopeSealer({ keyring, random, store: ledger.id, meter: null }),
    target: async secret => ({ store, path: secret as string as StorePath, issuer: null, settings }),
  })
  return async round => {
    commits = 0
    for (let index = 0; index < rotations; index += 1) {
      const secret = secretName(`bench/${round}/${index}`)
      const row = await ledger.secrets.ensure(secret)
      const strategy = 'generated' as const
      const request = { secretId: row.id, secret, strategy, trigger: 'first' as const, mode: 'normal' as const, reason: 'bench' }
      await counting.open({ ...request, graceOverrideMs: null, op: null, approved: false })
      await engine.runOne({ holder: 'bench' })
    }
    return commits
  }
}

function bareCommits(file: string, count: number): number {
  const database = new DatabaseSync(file)
  database.exec('pragma journal_mode=wal; pragma synchronous=full; create table t (id integer primary key, v blob)')
  const insert = database.prepare('insert into t (v) values (?)')
  const value = randomBytes(512)
  const began = performance.now()
  for (let index = 0; index < count; index += 1) insert.run(value)
  const rate = (count / (performance.now() - began)) * 1_000
  database.close()
  return rate
}
