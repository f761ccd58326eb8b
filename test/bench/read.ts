import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import autocannon from 'autocannon'
import { freePort } from '../servers/free-port.ts'
import { median, type Row } from './row.ts'
import { MeasuredServer, pin } from './server.ts'

const connections = [16, 64, 256]
const rounds = 5
const seconds = 3
const path = '/v1/secrets/bench/token'
const cli = join(import.meta.dirname, '../../packages/cli/src/main.ts')
const bare = join(import.meta.dirname, 'bare-server.ts')

interface Sample {
  readonly rate: number
  readonly p99: number
  readonly cpuMicroseconds: number
}

/** Authenticated, authorised, durably audited reads of a cached secret over HTTP, against a bare Hono answer of the same size. */
export async function readBench(): Promise<readonly Row[]> {
  pin(process.pid, 1)
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'))
  try {
    const small = await broker(join(folder, 'one'), 1)
    const answer = await (await fetch(small.server.url, { headers: small.headers })).text()
    const port = await freePort()
    const plain = await MeasuredServer.start([bare, String(port), answer], `http://127.0.0.1:${port}${path}`)
    const rows: Row[] = []
    for (const count of connections) rows.push(...(await sideBySide(small, plain, count)))
    await plain.stop()
    rows.push(...(await withManyRules(small, folder)))
    await small.server.stop()
    return rows
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

type Reader = { readonly server: MeasuredServer; readonly headers: Record<string, string> }

async function sideBySide(ours: Reader, plain: MeasuredServer, count: number): Promise<readonly Row[]> {
  const samples: { ours: Sample[]; plain: Sample[] } = { ours: [], plain: [] }
  await load(ours.server, count, ours.headers, 1)
  await load(plain, count, {}, 1)
  for (let round = 0; round < rounds; round += 1) {
    samples.ours.push(await load(ours.server, count, ours.headers))
    samples.plain.push(await load(plain, count, {}))
  }
  const of = (pick: (sample: Sample) => number) => [median(samples.ours.map(pick)), median(samples.plain.map(pick))] as const
  const [rate, bareRate] = of(sample => sample.rate)
  const [p99, bareP99] = of(sample => sample.p99)
  const [cpu] = of(sample => sample.cpuMicroseconds)
  return [
    { what: `audited reads, ${count} connections`, value: rate, unit: 'a second', ratio: rate / bareRate, of: 'a bare Hono JSON answer' },
    { what: `  p99`, value: p99, unit: 'ms', ratio: p99 / bareP99, of: 'the bare p99' },
    { what: `  processor time a read`, value: cpu, unit: 'us' },
  ]
}

async function withManyRules(small: Reader, folder: string): Promise<readonly Row[]> {
  const many = await broker(join(folder, 'many'), 100_000)
  const samples: { one: number[]; many: number[] } = { one: [], many: [] }
  for (let round = 0; round < rounds; round += 1) {
    samples.one.push((await load(small.server, 64, small.headers)).cpuMicroseconds)
    samples.many.push((await load(many.server, 64, many.headers)).cpuMicroseconds)
  }
  await many.server.stop()
  const [one, hundredThousand] = [median(samples.one), median(samples.many)]
  return [
    {
      what: 'processor time a read with 100,000 patterns',
      value: hundredThousand,
      unit: 'us',
      ratio: hundredThousand / one,
      of: 'that with 1 pattern',
    },
  ]
}

/** A broker on the embedded store with one secret, and a token of a role that may read it. */
async function broker(folder: string, rules: number): Promise<Reader> {
  const port = await freePort()
  const config = `${folder}.yaml`
  const others = Array.from({ length: rules - 1 }, (_, index) => `t${index.toString(36)}/*`).join(', ')
  writeFileSync(
    config,
    `environment: development
broker: { listen: "127.0.0.1:${port}", data: "${folder}" }
database: {}
secrets:
  bench/token: { type: service-token, every: 1d, grace: 1h, cache: 1m }
access:
  roles:
    reader:
      allow:
        - { secrets: ["bench/*"], actions: [read] }
${others === '' ? '' : `        - { secrets: [${others}], actions: [read] }\n`}`,
  )
  const server = await MeasuredServer.start([cli, 'serve', '--config', config], `http://127.0.0.1:${port}${path}`)
  const admin = readFileSync(join(folder, 'admin.token'), 'utf8').trim()
  const made = await fetch(`http://127.0.0.1:${port}/admin/v1/tokens`, {
    method: 'POST',
    headers: { authorization: `Bearer ${admin}`, 'content-type': 'application/json' },
    body: JSON.stringify({ role: 'reader', ttl: 3600, name: 'bench' }),
  })
  const { token } = (await made.json()) as { token: string }
  const headers = { authorization: `Bearer ${token}` }
  for (let tries = 0; tries < 100; tries += 1) {
    if ((await fetch(server.url, { headers })).status === 200) return { server, headers }
    await new Promise(resolve => setTimeout(resolve, 100))
  }
  throw new Error(`the bench's secret cannot be read: ${(await fetch(server.url, { headers })).status}`)
}

async function load(server: MeasuredServer, count: number, headers: Record<string, string>, duration = seconds): Promise<Sample> {
  const cpu = server.cpuSeconds()
  const result = await autocannon({ url: server.url, connections: count, duration, headers })
  if (result.non2xx > 0 || result.errors > 0) throw new Error(`${result.non2xx} answers were no 2xx, ${result.errors} failed`)
  const total = result.requests.total
  return { rate: total / result.duration, p99: result.latency.p99, cpuMicroseconds: ((server.cpuSeconds() - cpu) / total) * 1e6 }
}
