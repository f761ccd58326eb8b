import { createHash, randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ran } from '../../packages/cli/test/fake-terminal.ts'
import { Place, until } from './harness.ts'
import { Served } from './served.ts'

const config = 'broker: { keys: { provider: env } }\ndatabase: {}\n'
const key = () => randomBytes(32).toString('base64url')
let place: Place
let served: Served | null
let keks: Record<string, string>

beforeEach(() => {
  place = new Place()
  served = null
  keks = { KEYTURN_KEK_v1: key(), KEYTURN_CURRENT_KEK_ID: 'v1' }
  place.write('keyturn.yaml', config)
})
afterEach(async () => {
  await served?.stop()
  place.remove()
})

/** `keyturn` on the data folder of this name. */
function run(args: readonly string[], data = 'data', env: Record<string, string> = {}) {
  const given = { KEYTURN_DATA: join(place.folder, data), ...keks, ...env }
  const all = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== ''))
  return ran(args, { cwd: place.folder, env: all })
}

const linesOf = (out: string) =>
  out
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line))

async function start(data = 'data'): Promise<Served> {
  const started = await Served.start(place, 'keyturn.yaml', { KEYTURN_DATA: data, ...keks })
  served = started
  return started
}

async function stop(): Promise<void> {
  await served?.stop()
  served = null
}

const token = (data = 'data') => place.read(`${data}/admin.token`).trim()
const ask = (broker: Served, method: string, target: string, body?: unknown, data = 'data') =>
  broker.ask(method, target, { token: token(data), ...(body === undefined ? {} : { body }) })

async function write(broker: Served, name: string, ...values: readonly string[]): Promise<void> {
  for (const value of values) expect((await ask(broker, 'PUT', `/v1/secrets/${name}`, { value })).status).toBeLessThan(300)
}

async function backedUp(broker: Served): Promise<{ readonly id: string; readonly file: string }> {
  const made = await ask(broker, 'POST', '/admin/v1/backups', { reason: 'test' })
  expect([made.status, made.body.present], made.text).toEqual([201, true])
  return made.body
}

test('a bundle comes back whole into an empty database, history and all, and a second restore finds nothing to do', {
  timeout: 120_000,
}, async () => {
  const broker = await start()
  await write(broker, 'app/one', 'one-1', 'one-2', 'one-3')
  await write(broker, 'app/two', 'two-1')
  await ask(broker, 'PUT', '/v1/secrets/app/three', { fields: { user: 'u', password: 'three-1' }, type: 'api-key' })
  const { id, file } = await backedUp(broker)
  const listed = await run(['backup', 'list', '--json'], 'data', { KEYTURN_ADDR: broker.address, KEYTURN_TOKEN: token() })
  expect([listed.code, JSON.parse(listed.out).backups.map((each: { id: string }) => each.id)], listed.err).toEqual([0, [id]])
  const live = await run(['restore', id, '--dry-run', '--json'])
  expect([live.code, linesOf(live.out).at(-1)], live.err).toMatchObject([
    0,
    { event: 'drill', opened: 5, versions: 5, isWhole: true, changes: null },
  ])
  await stop()

  const drill = await run(['restore', id, '--dry-run', '--json'])
  expect([drill.code, linesOf(drill.out).at(-1).changes.same], drill.err).toEqual([0, 3])
  const untouched = await run(['restore', file, '--dry-run', '--json'], 'empty')
  expect([untouched.code, linesOf(untouched.out).at(-1).changes.new], untouched.err).toEqual([0, 3])
  expect(readdirSync(place.folder)).not.toContain('empty')

  const restored = await run(['restore', file, '--json'], 'empty')
  expect([restored.code, linesOf(restored.out).at(-1)], restored.err).toMatchObject([
    0,
    { event: 'end', restored: 3, failed: 0, differs: 0 },
  ])
  const again = await run(['restore', file, '--json'], 'empty')
  expect([again.code, linesOf(again.out).at(-1)], again.err).toMatchObject([0, { restored: 0, same: 3 }])
  const chainOf = (name: string) => join(place.folder, 'empty', name)
  const chain = await run(['audit', 'verify', chainOf('audit.copy.jsonl'), '--anchor', chainOf('audit.copy.anchor')], 'empty')
  expect([chain.code, chain.out]).toEqual([0, expect.stringMatching(/^ok: /)])

  const other = await start('empty')
  const versions = (await ask(other, 'GET', '/v1/versions/app/one', undefined, 'empty')).body.versions
  expect(versions.length).toBe(3)
  for (const [number, value] of [
    [1, 'one-1'],
    [2, 'one-2'],
    [3, 'one-3'],
  ]) {
    const read = await ask(other, 'GET', `/v1/secrets/app/one?version=${number}`, undefined, 'empty')
    expect(read.body.value ?? read.text).toEqual(value)
  }
  const three = (await ask(other, 'GET', '/v1/secrets/app/three', undefined, 'empty')).body
  expect(three.fields).toEqual({ user: 'u', password: 'three-1' })
  const told =
    [live, drill, restored, again].map(({ out, err }) => out + err).join('') +
    place.read('empty/audit.copy.jsonl') +
    place.read(file.slice(place.folder.length + 1))
  expect(told).toContain('app/one')
  expect(told).not.toMatch(/one-[123]|two-1|three-1/)
})

test('what is different stays, unless it is to be written over, and then nothing is lost', { timeout: 120_000 }, async () => {
  const broker = await start()
  await write(broker, 'app/one', 'one-1')
  const { id } = await backedUp(broker)
  await write(broker, 'app/one', 'later')
  await stop()
  const left = await run(['restore', id, '--json'])
  expect([left.code, linesOf(left.out).at(-1)], left.err).toMatchObject([1, { restored: 0, different: 1 }])
  const over = await run(['restore', id, '--overwrite', '--json'])
  expect([over.code, linesOf(over.out).at(-1)], over.err).toMatchObject([0, { restored: 1 }])
  const again = await start()
  const values = [1, 2, 3].map(async number => (await ask(again, 'GET', `/v1/secrets/app/one?version=${number}`)).body.value)
  expect(await Promise.all(values)).toEqual(['one-1', 'later', 'one-1'])
})

test('across two KEKs: the drill names the one that is missing, and once renewed none is', { timeout: 120_000 }, async () => {
  const first = await start()
  await write(first, 'app/one', 'one-1', 'one-2')
  const old = await backedUp(first)
  await stop()
  const { KEYTURN_KEK_v1: v1 = '' } = keks
  keks = { ...keks, KEYTURN_KEK_v2: key(), KEYTURN_CURRENT_KEK_ID: 'v2' }
  const second = await start()
  await write(second, 'app/two', 'two-1')
  const mixed = await backedUp(second)
  const without = { KEYTURN_KEK_v1: '' }
  const { KEYTURN_KEK_v2: v2 = '' } = keks
  const drill = await run(['restore', mixed.id, '--dry-run', '--json'], 'data', without)
  const plan = linesOf(drill.out).at(-1)
  expect([drill.code, plan.opened, plan.unproven], drill.err).toEqual([1, 1, null])
  expect(plan.unreadable).toEqual([{ kek: 'v1', fingerprint: expect.stringMatching(/^[0-9a-f]{32}$/), versions: 2, why: 'not loaded' }])
  const lost = await run(['restore', old.id, '--dry-run', '--json'], 'data', without)
  expect([lost.code, linesOf(lost.out).at(-1).unproven], lost.err).toEqual([1, expect.stringContaining(plan.unreadable[0].fingerprint)])
  const whole = await run(['restore', mixed.id, '--dry-run', '--json'])
  expect([whole.code, linesOf(whole.out).at(-1).opened], whole.err).toEqual([0, 3])

  const op = (await ask(second, 'POST', '/admin/v1/secrets/rotate-all', { reason: 'v1 is old' })).body.op_id
  const end = await until('the campaign', async () => {
    const { body } = await ask(second, 'GET', `/admin/v1/secrets/rotation-status/${op}`)
    return body.finished === null ? undefined : body
  })
  expect(end).toMatchObject({ state: 'done', failed: 0, note: null })
  const backups = (await ask(second, 'GET', '/admin/v1/backups')).body.backups
  expect(backups.at(-1).id).toBe(op.replace('op_', 'bak_'))
  expect(backups.map((each: { reason: string }) => each.reason)).toEqual(['test', 'test', 'before a re-wrap of everything: v1 is old'])
  for (const { keks: needed } of backups) expect(Object.keys(needed)).toEqual(['v2'])
  await stop()
  keks = { KEYTURN_KEK_v2: v2, KEYTURN_CURRENT_KEK_ID: 'v2' }
  expect(v1).not.toBe('')
  for (const { id } of backups) {
    const after = await run(['restore', id, '--dry-run', '--json'])
    expect([id, after.code], after.err).toEqual([id, 0])
  }
})

test('a backup that cannot be made keeps what may only begin after one from its beginning, with the reason', {
  timeout: 60_000,
}, async () => {
  place.write('keyturn.yaml', `${config}secrets: { demo/one: { type: service-token, every: 7d } }\n`)
  const broker = await start()
  await write(broker, 'demo/one', 'one-1')
  writeFileSync(join(place.folder, 'data/backups'), '')
  const accepted = await ask(broker, 'POST', '/admin/v1/secrets/rotate-all', { reason: '' })
  expect(accepted.status, accepted.text).toBe(202)
  const end = await until('the end', async () => {
    const { body } = await ask(broker, 'GET', accepted.body.status_url)
    return body.finished === null ? undefined : body
  })
  expect(end).toMatchObject({ state: 'aborted', total: 0, note: expect.stringContaining('no backup could be made') })
  expect(place.read('data/audit.jsonl')).toMatch(/"rewrap\.aborted".*"unavailable"/)
  const refused = await ask(broker, 'POST', '/admin/v1/secrets/rotate', { all: true, reason: '' })
  expect([refused.status, refused.body.code], refused.text).toEqual([503, 'unavailable'])
  expect((await ask(broker, 'GET', '/admin/v1/backups')).body.backups).toEqual([])
  rmSync(join(place.folder, 'data/backups'))
  mkdirSync(join(place.folder, 'data/backups'), { mode: 0o755 })
  writeFileSync(join(place.folder, 'data/backups/notes'), '')
  chmodSync(join(place.folder, 'data/backups'), 0o755)
  const open = await ask(broker, 'POST', '/admin/v1/backups', {})
  expect(open.body.code).toBe('precondition_failed')
})

test('a damaged bundle is not restored, and the drill names the line', { timeout: 60_000 }, async () => {
  const broker = await start()
  await write(broker, 'app/one', 'one-1')
  await write(broker, 'app/two', 'two-1')
  const { file } = await backedUp(broker)
  await stop()
  const text = place.read(file.slice(place.folder.length + 1))
  writeFileSync(file, text.replace('"path":"app/two"', '"path":"app/twx"'))
  const before = createHash('sha256').update(place.read('data/audit.jsonl')).digest('hex')
  const drill = await run(['restore', file, '--dry-run', '--json'], 'empty')
  expect([drill.code, linesOf(drill.out).at(-1).damage], drill.err).toEqual([1, [{ line: 3, why: 'it was changed or cut' }]])
  const refused = await run(['restore', file], 'empty')
  expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('nothing was written')])
  const partial = await run(['restore', file, '--partial', '--json'], 'empty')
  expect([partial.code, linesOf(partial.out).at(-1).restored], partial.err).toEqual([0, 1])
  expect(createHash('sha256').update(place.read('data/audit.jsonl')).digest('hex')).toBe(before)
})
