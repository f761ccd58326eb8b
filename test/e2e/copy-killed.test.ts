import { spawn } from 'node:child_process'
import { join } from 'node:path'
import process from 'node:process'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { VaultFake } from '../fakes/vault.ts'
import type { KvTwo } from '../fakes/vault-kv.ts'
import { Place, until } from './harness.ts'

const binary = join(import.meta.dirname, '../../packages/cli/bin/keyturn.mjs')
const names = Array.from({ length: 30 }, (_, at) => `s${at}`)
let place: Place
let vault: VaultFake
let from: KvTwo
let to: KvTwo

beforeEach(async () => {
  place = new Place()
  vault = await VaultFake.start()
  from = vault.mount('old', 2)
  to = vault.mount('new', 2)
  const section = (mount: string) =>
    `vault: { address: "${vault.url}", auth: { method: token, token: "\${THE_TOKEN}" }, secrets: [{ under: ${mount}/data/app/, name: app/ }] }\n`
  place.write('keyturn.yaml', section('old'))
  place.write('next.yaml', section('new'))
})
afterEach(async () => {
  expect(vault.broken).toEqual([])
  await vault.close()
  place.remove()
})

/** `keyturn` in a process of its own. */
function keyturn(line: string) {
  const env = { PATH: process.env.PATH, KEYTURN_DATA: join(place.folder, 'data'), THE_TOKEN: vault.root }
  const child = spawn(process.execPath, [binary, ...line.split(' ')], { cwd: place.folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => (output += String(chunk)))
  const ended = new Promise<{ code: number | null; output: string }>(resolve => child.on('close', code => resolve({ code, output })))
  return { child, ended }
}

const writes = () => vault.seen.filter(({ method, path }) => method !== 'GET' && path.startsWith('/v1/new/data/')).length
/** What each secret has been at the new place, version by version. */
const histories = (kv: KvTwo) =>
  names.map(name => [...(kv.secrets.get(`app/${name}`)?.versions.values() ?? [])].map(version => version.data?.password))

test.each([
  ['SIGKILL', 1],
  ['SIGKILL', 17],
  ['SIGINT', 9],
] as const)(
  'ended by %s after write %i, another run brings it to its end, and no version twice',
  { timeout: 60_000 },
  async (signal, after) => {
    for (const version of [1, 2, 3]) for (const name of names) from.put(`app/${name}`, { password: `marker-${name}-${version}` })
    // long enough that some are acted on and never answered
    vault.turn(/^(POST|PUT) \/v1\/new\/data\//, { do: 'slow', ms: 30 })
    const first = keyturn('copy vault vault --to-config next.yaml --versions')
    await until('the write', () => (writes() >= after ? true : undefined))
    first.child.kill(signal)
    const { code, output } = await first.ended
    expect(code).toBe(signal === 'SIGKILL' ? null : 1)
    const wanted = histories(from)
    const half = histories(to)
    expect(half.flat().length).toBeLessThan(wanted.flat().length)
    for (const [at, values] of half.entries()) expect(wanted[at]?.slice(0, values.length)).toEqual(values)
    vault.turnBack()

    const second = await keyturn('copy vault vault --to-config next.yaml --versions --verify --json').ended
    expect(second.code, second.output).toBe(0)
    expect(histories(to)).toEqual(wanted)
    const before = writes()
    const third = await keyturn('copy vault vault --to-config next.yaml --versions').ended
    expect([third.code, writes()]).toEqual([0, before])
    const chain = await keyturn('audit verify data/audit.copy.jsonl --anchor data/audit.copy.anchor').ended
    expect([chain.code, chain.output]).toEqual([0, expect.stringMatching(/^ok: /)])
    const told = [output, second.output, third.output, place.read('data/audit.copy.jsonl')].join('')
    expect(told).toContain('app/s1')
    expect(told).not.toContain('marker-')
  },
)
