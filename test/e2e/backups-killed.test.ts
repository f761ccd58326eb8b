import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ran } from '../../packages/cli/test/fake-terminal.ts'
import { Place, until } from './harness.ts'
import { Served } from './served.ts'

const binary = join(import.meta.dirname, '../../packages/cli/bin/keyturn.mjs')
let place: Place
let served: Served
let keks: Record<string, string>

beforeEach(() => {
  place = new Place()
  keks = { KEYTURN_KEK_v1: randomBytes(32).toString('base64url'), KEYTURN_CURRENT_KEK_ID: 'v1' }
  place.write('keyturn.yaml', 'broker: { keys: { provider: env } }\ndatabase: {}\n')
})
afterEach(async () => {
  await served.stop()
  place.remove()
})

const envOf = (data: string) => ({ KEYTURN_DATA: join(place.folder, data), ...keks })
const linesOf = (out: string) =>
  out
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line))

async function start(data = 'data'): Promise<void> {
  served = await Served.start(place, 'keyturn.yaml', { KEYTURN_DATA: data, ...keks })
}

const ask = (method: string, target: string, body?: unknown, data = 'data') =>
  served.ask(method, target, { token: place.read(`${data}/admin.token`).trim(), ...(body === undefined ? {} : { body }) })

async function write(name: string, ...values: readonly string[]): Promise<void> {
  for (const value of values) expect((await ask('PUT', `/v1/secrets/${name}`, { value })).status).toBeLessThan(300)
}

const inFolder = () => (existsSync(join(place.folder, 'data/backups')) ? readdirSync(join(place.folder, 'data/backups')) : [])
const isHalf = (name: string) => name.startsWith('.bak_')

/** SIGKILL at the moment at which a bundle is half written, and the next life. */
async function killedHalfWay(): Promise<void> {
  await until('a half bundle', () => (inFolder().some(isHalf) ? true : undefined))
  await served.kill()
  await start()
}

async function drilled(id: string): Promise<{ readonly opened: number; readonly isWhole: boolean }> {
  const drill = await ran(['restore', id, '--dry-run', '--json'], { cwd: place.folder, env: envOf('data') })
  return linesOf(drill.out).at(-1)
}

test('a backup that is killed half way leaves nothing that is listed; what a campaign waits for is made again, and then it runs', {
  timeout: 120_000,
}, async () => {
  const count = 160
  await start()
  for (let at = 0; at < count; at += 20) {
    await Promise.all(Array.from({ length: 20 }, (_, each) => write(`app/s${at + each}`, randomBytes(36_000).toString('base64'))))
  }
  const answer = ask('POST', '/admin/v1/backups', { reason: 'killed' }).catch((error: Error) => error)
  await killedHalfWay()
  expect(await answer).toBeInstanceOf(Error)
  const whole = inFolder().filter(name => !isHalf(name))
  await until('the leftover is gone', () => (inFolder().some(isHalf) ? undefined : true))
  const listed = async () => (await ask('GET', '/admin/v1/backups')).body.backups as { id: string; file: string }[]
  expect((await listed()).map(({ id }) => `${id}.jsonl`)).toEqual(whole)

  const { status, body } = await ask('POST', '/admin/v1/secrets/rotate-all', { reason: 'killed' })
  expect(status).toBe(202)
  const look = async () => (await ask('GET', body.status_url)).body
  expect(await look()).toMatchObject({
    state: 'waiting',
    waiting_for: 'backup',
    note: expect.stringContaining('a backup is being made first'),
  })
  await killedHalfWay()
  const end = await until('the end', async () => {
    const seen = await look()
    return seen.finished === null ? undefined : seen
  })
  expect(end).toMatchObject({ op_id: body.op_id, state: 'done', failed: 0 })
  const id = body.op_id.replace('op_', 'bak_')
  expect((await listed()).map(each => each.id)).toContain(id)
  expect(inFolder().filter(isHalf)).toEqual([])
  for (const each of await listed()) expect([each.id, await drilled(each.id)]).toMatchObject([each.id, { opened: count, isWhole: true }])
})

test('a restore that is killed is gone on with by another, and no version comes twice', { timeout: 120_000 }, async () => {
  await start()
  const names = Array.from({ length: 40 }, (_, at) => `app/s${at}`)
  await Promise.all(names.map(name => write(name, `${name}-1`, `${name}-2`, `${name}-3`)))
  const { file } = (await ask('POST', '/admin/v1/backups', {})).body
  await served.stop()
  for (const results of [1, 15]) {
    const killed = spawn(process.execPath, ['--conditions=@keyturn/source', binary, 'restore', file, '--json'], {
      cwd: place.folder,
      env: { PATH: process.env.PATH, ...envOf('other') },
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    let seen = 0
    killed.stdout.on('data', chunk => {
      seen += String(chunk).split('"event":"result"').length - 1
      if (seen >= results) killed.kill('SIGKILL')
    })
    await new Promise(resolve => killed.once('close', resolve))
  }
  const last = await ran(['restore', file, '--json'], { cwd: place.folder, env: envOf('other') })
  expect([last.code, linesOf(last.out).at(-1)], last.err).toMatchObject([0, { failed: 0, differs: 0 }])
  await start('other')
  for (const name of names) {
    const { versions } = (await ask('GET', `/v1/versions/${name}`, undefined, 'other')).body
    expect([name, versions.length]).toEqual([name, 3])
    expect((await ask('GET', `/v1/secrets/${name}`, undefined, 'other')).body.value).toBe(`${name}-3`)
  }
})
