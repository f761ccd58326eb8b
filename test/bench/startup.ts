import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { median, type Row } from './row.ts'

const firstRounds = 5
const laterRounds = 9
const binary = join(import.meta.dirname, '../../packages/cli/bin/keyturn.mjs')

/** A section of each kind that has an SDK. No server is asked for anything at the start. */
const sections: Readonly<Record<string, object>> = {
  vault: { address: 'http://127.0.0.1:1', kv: 2, secrets: [{ path: 'secret/data/app', key: 'token' }] },
  aws: { region: 'eu-central-1', secrets: [{ path: 'app/token' }] },
  azure: { vault: 'https://shop-prod.vault.azure.net', secrets: [{ path: 'app-token' }] },
  gcp: { project: 'shop-prod-4711', secrets: [{ path: 'app-token' }] },
  kubernetes: { secrets: [{ path: 'shop/app', key: 'token' }] },
}

interface Start {
  readonly ms: number
  readonly cpuMs: number
  readonly megabytes: number
}

/** From the start of the process until the broker answers, and what it holds then: the first start of a data folder, later ones, and with each SDK's section. */
export async function startupBench(): Promise<readonly Row[]> {
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'))
  try {
    const first: Start[] = []
    for (let round = 0; round < firstRounds; round += 1) first.push(await startOnce(configIn(join(folder, `first-${round}`))))
    const bare = await laterStarts(configIn(join(folder, 'later')))
    const rows = [...rowsOf('first start', first), ...rowsOf('later starts', bare)]
    for (const [kind, section] of Object.entries(sections)) {
      const starts = await laterStarts(configIn(join(folder, kind), { [kind]: section }))
      rows.push(...rowsOf(`  with a section of ${kind}`, starts, bare), ...sdkRows(kind, folder))
    }
    return rows
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A config in a folder of its own, whose data folder is not there yet. */
function configIn(folder: string, more: object = {}): string {
  mkdirSync(folder, { mode: 0o700 })
  const file = join(folder, 'keyturn.yaml')
  // JSON is YAML; what is found without a parser is written as people write it
  const rest = Object.entries({ database: {}, secrets: { 'bench/token': { type: 'generic' } }, ...more })
  const lines = rest.map(([key, value]) => `${key}: ${JSON.stringify(value)}\n`)
  writeFileSync(file, `broker:\n  listen: 127.0.0.1:0\n  data: data\n${lines.join('')}`)
  return file
}

/** The first start fills the cache, and does not count. */
async function laterStarts(config: string): Promise<readonly Start[]> {
  await startOnce(config)
  const starts: Start[] = []
  for (let round = 0; round < laterRounds; round += 1) starts.push(await startOnce(config))
  return starts
}

async function startOnce(config: string): Promise<Start> {
  const begun = performance.now()
  const args = ['--conditions=@keyturn/source', binary, 'serve', '--config', config]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'], env: { PATH: process.env.PATH } })
  const ended = new Promise(resolve => child.once('exit', resolve))
  try {
    const address = await served(child.stderr)
    const ms = performance.now() - begun
    const cpuMs = cpuMsOf(child.pid)
    const { status } = await fetch(`${address}/readyz`)
    if (status !== 200) throw new Error(`${config} is not ready: ${status}`)
    return { ms, cpuMs, megabytes: residentOf(child.pid) }
  } finally {
    // in order, so that Node leaves what it compiled
    child.kill('SIGTERM')
    await ended
  }
}

/** The address that a broker logs when it begins to answer. */
async function served(log: NodeJS.ReadableStream): Promise<string> {
  let text = ''
  for await (const part of log) {
    text += String(part)
    const address = /"address":"([^"]+)".*"msg":"serving"/.exec(text)?.[1]
    if (address !== undefined) return address
  }
  throw new Error(`the broker did not start: ${text}`)
}

/** Processor time so far (proc(5): fields 14 and 15 of stat, in ticks of 10 ms). */
function cpuMsOf(pid: number | undefined): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) * 10
}

function residentOf(pid: number | undefined): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
}

function rowsOf(what: string, starts: readonly Start[], bare?: readonly Start[]): readonly Row[] {
  const row = (name: string, unit: string, pick: (start: Start) => number): Row => {
    const value = median(starts.map(pick))
    return { what: name, value, unit, ...(bare === undefined ? {} : { ratio: value / median(bare.map(pick)), of: 'later starts without' }) }
  }
  return [
    row(what, 'ms', start => start.ms),
    row(`${what}, processor time`, 'ms', start => start.cpuMs),
    row(`${what}, memory`, 'MB', start => start.megabytes),
  ]
}

/** What an adapter and its SDK cost when the first secret of the section is asked for: once Node has compiled them, beside what a broker has loaded anyway. */
function sdkRows(kind: string, folder: string): readonly Row[] {
  const source = (name: string) => JSON.stringify(join(import.meta.dirname, '../../packages', name))
  const script = `
    await import(${source('core/src/index.ts')})
    await import(${source(`adapter-${kind}/src/options.ts`)})
    const [begun, before] = [performance.now(), process.memoryUsage().rss]
    await import(${source(`adapter-${kind}/src/index.ts`)})
    console.log(JSON.stringify([performance.now() - begun, (process.memoryUsage().rss - before) / 1_048_576]))`
  const file = join(folder, `${kind}.mjs`)
  writeFileSync(file, script)
  const env = { PATH: process.env.PATH, NODE_COMPILE_CACHE: join(folder, 'cache') }
  const run = () =>
    JSON.parse(execFileSync(process.execPath, ['--conditions=@keyturn/source', file], { encoding: 'utf8', env })) as number[]
  run()
  const costs = Array.from({ length: firstRounds }, run)
  return [
    { what: `  the SDK of ${kind}, once it is asked for`, value: median(costs.map(([ms = 0]) => ms)), unit: 'ms' },
    { what: `  the SDK of ${kind}, memory`, value: median(costs.map(([, megabytes = 0]) => megabytes)), unit: 'MB' },
  ]
}
