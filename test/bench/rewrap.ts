import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { type PostgresServer, startPostgres } from '../servers/postgres.ts'
import { BenchBroker } from './rewrap-broker.ts'
import { bareOnServer, fillServer, settle } from './rewrap-postgres.ts'
import { readsBeside } from './rewrap-readers.ts'
import { bareInFile, cryptoAlone, fillFile } from './rewrap-sqlite.ts'
import { median, type Row } from './row.ts'
import { sealedReads } from './sealed-reads.ts'

const rows = Number(process.env.KEYTURN_BENCH_ROWS ?? 1_000_000)
const fileRows = Math.min(rows, 300_000)
const rounds = 3

/**
 * A million rows re-wrapped by a broker, against the same database doing the same paged compare-and-set updates with ready-made bytes; what that costs its
 * memory and its readers; `kek-status` on as many rows; reads of sealed values against a bare select.
 */
export async function rewrapBench(): Promise<readonly Row[]> {
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'))
  const server = await startPostgres({ settings: { shared_buffers: '1GB', max_wal_size: '8GB', checkpoint_timeout: '30min' } })
  try {
    const served = 'absent' in server ? absent(server.absent) : await onServer(server, join(folder, 'served'))
    return [...served, ...(await inFile(join(folder, 'embedded')))]
  } finally {
    if (!('absent' in server)) await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

const absent = (why: string): readonly Row[] => [{ what: `on PostgreSQL: absent, ${why}`, value: Number.NaN, unit: '' }]
const thousands = (count: number): string => count.toLocaleString('en-US')

async function onServer(server: PostgresServer, folder: string): Promise<readonly Row[]> {
  const broker = new BenchBroker(folder, { DATABASE_URL: server.url })
  await fillServer(server.url, broker, rows)
  const [bare, rewrapped, growth]: [number[], number[], number[]] = [[], [], []]
  for (let round = 0; round < rounds; round += 1) {
    await settle(server.url)
    bare.push(await bareOnServer(server.url, broker))
    await settle(server.url)
    const campaign = await broker.campaign()
    rewrapped.push(campaign.rate)
    growth.push(campaign.grownMegabytes)
  }
  await settle(server.url)
  const readers = await readsBeside(broker)
  const status = await broker.kekStatus(100)
  return [
    {
      what: `re-wrapped on PostgreSQL, ${thousands(rows)} rows`,
      value: median(rewrapped),
      unit: 'rows a second',
      ratio: median(rewrapped) / median(bare),
      of: 'the same paged updates with ready-made bytes',
    },
    { what: '  those updates alone', value: median(bare), unit: 'rows a second' },
    { what: '  memory of the broker meanwhile', value: median(growth), unit: 'MB more than before' },
    {
      what: '  p99 of readers meanwhile',
      value: readers.duringMs,
      unit: 'ms',
      ratio: readers.duringMs / readers.beforeMs,
      of: `before (${readers.beforeMs.toFixed(2)} ms)`,
    },
    { what: `kek-status on ${thousands(rows)} rows`, value: status, unit: 'ms' },
    ...(await sealedReads(server.url, broker)),
  ]
}

async function inFile(folder: string): Promise<readonly Row[]> {
  const broker = new BenchBroker(folder, {})
  await fillFile(broker, fileRows)
  const [bare, crypto, rewrapped, growth]: [number[], number[], number[], number[]] = [[], [], [], []]
  for (let round = 0; round < rounds; round += 1) {
    bare.push(bareInFile(broker))
    crypto.push(cryptoAlone())
    const campaign = await broker.campaign()
    rewrapped.push(campaign.rate)
    growth.push(campaign.grownMegabytes)
  }
  const limit = 1 / (1 / median(bare) + 1 / median(crypto))
  return [
    {
      what: `re-wrapped embedded, ${thousands(fileRows)} rows`,
      value: median(rewrapped),
      unit: 'rows a second',
      ratio: median(rewrapped) / limit,
      of: '1/(1/bare + 1/crypto)',
    },
    { what: '  the same updates with ready-made bytes', value: median(bare), unit: 'rows a second' },
    { what: '  the crypto alone', value: median(crypto), unit: 'rows a second' },
    { what: '  memory of the broker meanwhile', value: median(growth), unit: 'MB more than before' },
  ]
}
