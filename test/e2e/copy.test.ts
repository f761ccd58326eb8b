import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { verify } from '@keyturn/audit'
import { auditKeys, readConfig } from '@keyturn/broker'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Around, Ran } from '../../packages/cli/test/fake-terminal.ts'
import type { KvTwo } from '../fakes/vault-kv.ts'
import { rowsOf, Setting, stepsOf } from './copy-harness.ts'
import { type Place, type Running, start } from './harness.ts'

let setting: Setting
let place: Place
let kv: KvTwo

beforeEach(async () => {
  setting = await Setting.start()
  place = setting.place
  kv = setting.kv
})
afterEach(() => setting.close())

const keyturn = (line: string, around: Around = {}) => setting.keyturn(line, around)
const vaultSection = (secrets: string) => setting.vaultSection(secrets)

/** The content of every file below a folder. */
function filesIn(folder: string): readonly string[] {
  const all = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
  return all.map(entry => readFileSync(join(entry.parentPath, entry.name), 'latin1'))
}

/** Every line of an audit file, with the verdict on its chain. */
async function audited(name: string): Promise<{ status: string; lines: Record<string, unknown>[] }> {
  const config = await readConfig({ config: 'keyturn.yaml', cwd: place.folder, env: setting.env })
  const file = join(place.folder, 'data', name)
  const { status } = await verify(file, { findKey: await auditKeys(config, setting.env) })
  const lines = readFileSync(file, 'utf8').trim().split('\n')
  return { status, lines: lines.map(line => JSON.parse(line)) }
}

describe('from a file of variables to Vault', () => {
  const three = `{ path: secret/data/app/db, key: url, name: DATABASE_URL }, { path: secret/data/app/api, key: key, name: API_KEY }, { path: secret/data/app/smtp, name: SMTP }`
  const files = () => {
    place.write('app.env', `DATABASE_URL=postgres://marker-db\nAPI_KEY="marker key"\nSMTP='{"user":"u","port":2525}'\n`)
    const own = '[{ path: DATABASE_URL }, { path: API_KEY }, { path: SMTP, format: json }]'
    place.write('keyturn.yaml', `dotenv: { file: app.env, secrets: ${own} }\n`)
    place.write('next.yaml', vaultSection(three))
  }
  const forth = 'copy dotenv vault --to-config next.yaml'
  const back = 'copy vault dotenv --config next.yaml --to-config keyturn.yaml'

  test('--plan says what would happen, and nothing is written', async () => {
    files()
    const plan = await keyturn(`${forth} --plan`)
    expect([plan.code, rowsOf(plan)]).toEqual([
      0,
      [
        ['API_KEY', 'API_KEY', 'secret/data/app/api', 'create', ''],
        ['DATABASE_URL', 'DATABASE_URL', 'secret/data/app/db', 'create', ''],
        ['SMTP', 'SMTP', 'secret/data/app/smtp', 'create', ''],
      ],
    ])
    expect(setting.writes()).toEqual([])
  })

  test('a text goes where an entry names its field, fields keep their source, and a second run makes no second version', async () => {
    files()
    const first = await keyturn(`${forth} --verify`)
    expect(first.code, first.err).toBe(0)
    expect(rowsOf(first).map(row => [row[0], row[3], row[4], row[5]])).toEqual([
      ['API_KEY', 'copied', '1', 'yes'],
      ['DATABASE_URL', 'copied', '1', 'yes'],
      ['SMTP', 'copied', '1', 'yes'],
    ])
    expect(setting.writes()).toHaveLength(3)
    const again = await keyturn(`${forth} --verify --json`)
    expect(again.code).toBe(0)
    expect(
      stepsOf(again)
        .filter(({ event }) => event === 'plan')
        .map(({ action }) => action),
    ).toEqual(['same', 'same', 'same'])
    expect(stepsOf(again).at(-1)).toMatchObject({ event: 'end', copied: 0, same: 3, failed: 0, differs: 0 })
    expect(setting.writes()).toHaveLength(3)
    place.write('keyturn.yaml', place.read('next.yaml'))
    const broker = await start(place, setting.env)
    try {
      expect((await broker.ask('GET', '/v1/secrets/DATABASE_URL?field=url')).body.value).toBe('postgres://marker-db')
      expect((await broker.ask('GET', '/v1/secrets/SMTP')).body.fields).toEqual({ user: 'u', port: '2525' })
    } finally {
      await broker.stop()
    }
  })

  test('and back again: one named field is the text of the variable', async () => {
    files()
    await keyturn(forth)
    const before = place.read('app.env')
    expect((await keyturn(`${back} --json`)).code).toBe(0)
    expect(place.read('app.env')).toBe(before)
    place.write('app.env', 'REST=x\n')
    const again = await keyturn(`${back} --verify`)
    expect(again.code, again.err).toBe(0)
    expect(place.read('app.env')).toContain('DATABASE_URL=postgres://marker-db')
    expect(place.read('app.env')).toContain('{"port":2525,"user":"u"}')
    expect(place.read('app.env')).toContain('REST=x')
  })

  test('a number that Vault would round is refused in the plan, not rounded', async () => {
    files()
    place.write('app.env', `SMTP='{"port":12345678901234567890}'\n`)
    const refused = await keyturn(`${forth} --only SMTP --json`)
    expect([refused.code, setting.writes()]).toEqual([2, []])
    expect(stepsOf(refused)[0]).toMatchObject({
      action: 'cannot',
      why: expect.stringContaining('vault cannot hold it whole: field "port"'),
    })
  })

  test('what has no place, or cannot be held there, is told all at once before anything is written', async () => {
    place.write('app.env', 'ONE=1\nTWO=2\nTHREE=3\nFOUR=4\n')
    const entries = '{ path: secret/data/two, name: TWO }, { path: secret/data/three, key: value, name: THREE }'
    place.write('next.yaml', vaultSection(entries))
    place.write('keyturn.yaml', 'dotenv: { file: app.env }\n')
    const refused = await keyturn('copy dotenv vault --to-config next.yaml --json')
    expect(refused.code).toBe(2)
    expect(stepsOf(refused).map(({ name, action, why }) => [name, action, why])).toEqual([
      ['FOUR', 'cannot', 'vault has no place for it: add - path: ... with name: FOUR'],
      ['ONE', 'cannot', 'vault has no place for it: add - path: ... with name: ONE'],
      ['THREE', 'create', null],
      ['TWO', 'cannot', expect.stringContaining('write key: with the name of its field')],
    ])
    expect(refused.err).toContain('3 of 4 cannot be copied; nothing was written')
    expect(setting.writes()).toEqual([])
    expect((await keyturn('copy dotenv vault --to-config next.yaml --only THREE')).code).toBe(0)
    expect(setting.writes()).toHaveLength(1)
  })

  test('a person is asked, and no is no', async () => {
    files()
    const no = await keyturn(forth, { answers: [false] })
    expect([no.code, setting.writes()]).toEqual([1, []])
    expect(no.err).toMatch(/NAME +DOTENV +VAULT +ACTION/)
    expect((await keyturn(forth, { answers: [true] })).code).toBe(0)
    expect((await keyturn(`${forth} --yes`, { answers: [] })).code).toBe(0)
  })

  test('no value is told: not on the terminal, not in a file, not in the audit', async () => {
    files()
    place.write('own.yaml', 'database: {}\n')
    const told = [
      await keyturn(`${forth} --plan`),
      await keyturn(`${forth} --json --verify --versions`),
      await keyturn(back, { answers: [true] }),
      await keyturn('copy dotenv database --to-config own.yaml --verify'),
    ]
    expect(told.map(({ code }) => code)).toEqual([0, 0, 0, 0])
    const texts = [...told.flatMap(({ out, err }) => [out, err]), ...filesIn(join(place.folder, 'data'))].join('\n')
    for (const secret of ['marker-db', 'marker key', '"port":2525', setting.vault.root]) {
      for (const form of [secret, Buffer.from(secret).toString('base64').slice(0, -4), Buffer.from(secret).toString('hex')]) {
        expect(texts).not.toContain(form)
      }
    }
    expect(texts).toContain('DATABASE_URL')
  })

  test('each look at a value and each write is recorded, in a chain that holds', async () => {
    files()
    await keyturn(`${forth} --verify`)
    const { status, lines } = await audited('audit.copy.jsonl')
    expect(status).toBe('ok')
    const of = lines.filter(({ secret }) => secret === 'API_KEY').map(({ action, source, outcome }) => [action, source, outcome])
    expect(of).toContainEqual(['read', 'copy: dotenv', 'allowed'])
    expect(of).toContainEqual(['read', 'copy: vault', 'failed'])
    expect(of).toContainEqual(['write', 'copy: vault', 'allowed'])
    expect(of.filter(([action, source]) => action === 'read' && source === 'copy: vault').length).toBeGreaterThan(2)
    expect(lines.find(({ action }) => action === 'write')).toMatchObject({ principal: expect.stringMatching(/^cli:/), version: '1' })
  })

  test('beside a running broker it records in its own chain; what the broker holds alone is said', async () => {
    files()
    place.write('keyturn.yaml', `${place.read('keyturn.yaml')}database: {}\n`)
    place.write('next.yaml', vaultSection(`${three}, { path: secret/data/own, key: value, name: own }`))
    const broker = await start(place, setting.env)
    try {
      await broker.ask('PUT', '/v1/secrets/own', { body: { value: 'x' } })
      const beside = await keyturn(forth)
      expect(beside.code, beside.err).toBe(0)
      expect(beside.err).toContain('audit.copy.jsonl')
      expect((await audited('audit.copy.jsonl')).status).toBe('ok')
      const held = await keyturn('copy database vault --to-config next.yaml')
      expect(held.code).toBe(1)
      expect(held.err).toContain('stop the broker while this store is copied')
    } finally {
      await broker.stop()
    }
  })
})

test('a broker that starts while secrets are copied is not kept from it; a second copy is told to wait', async () => {
  place.write('app.env', 'ONE=1\n')
  place.write('keyturn.yaml', 'dotenv: { file: app.env }\n')
  place.write('next.yaml', vaultSection('{ path: secret/data/one, key: value, name: ONE }'))
  const line = 'copy dotenv vault --to-config next.yaml --json'
  let broker: Promise<Running> | undefined
  let second: Promise<Ran> | undefined
  const first = await keyturn(line, {
    tap: text => {
      if (!text.includes('"event":"plan"')) return
      broker = start(place, setting.env)
      second = keyturn(line)
    },
  })
  await (await broker)?.stop()
  expect([first.code, (await second)?.code, (await second)?.err]).toEqual([0, 5, expect.stringContaining('another copy is under way')])
})

test('inside one config, between two stores that both keep a name', async () => {
  place.write('app.env', `DB='{"user":"u"}'\n`)
  const own = 'dotenv: { file: app.env, secrets: [{ path: DB, name: app/db, format: json }] }\n'
  const row = 'secrets: { app/db: { from: [dotenv, vault] } }\n'
  place.write('keyturn.yaml', own + vaultSection('{ path: secret/data/db, name: app/db }') + row)
  const copied = await keyturn('copy dotenv vault --verify')
  expect([copied.code, rowsOf(copied)], copied.err).toEqual([0, [['app/db', 'DB', 'secret/data/db', 'copied', '1', 'yes', '']]])
})

test('what lies in FROM under the name of another store is left out, and that is said', async () => {
  place.write('app.env', 'DB=canary\n')
  place.write('keyturn.yaml', 'dotenv: { file: app.env, secrets: [{ path: DB, name: app/db }] }\ndatabase: {}\n')
  expect((await keyturn('copy dotenv database')).code).toBe(0)
  place.write('next.yaml', vaultSection('{ path: secret/data/db, key: value, name: app/db }'))
  const away = await keyturn('copy database vault --to-config next.yaml')
  expect([away.code, away.out]).toEqual([0, ''])
  expect(away.err).toContain('left out of database, because the config has these names in other stores: app/db (dotenv)\n')
  const one = await keyturn('copy database vault --to-config next.yaml --only app/db')
  expect([one.code, one.err]).toEqual([4, expect.stringMatching(/database has no app\/db\n.*left out of database.*app\/db \(dotenv\)/)])
})

describe('versions', () => {
  const both = () => {
    place.write('keyturn.yaml', `database: {}\n${vaultSection('{ path: secret/data/app/db, name: app/db }')}`)
    for (const password of ['one', 'two', 'three']) kv.put('app/db', { password })
  }

  test('go along oldest first, once', async () => {
    both()
    const copied = await keyturn('copy vault database --versions --verify --json')
    expect(copied.code, copied.err).toBe(0)
    expect(stepsOf(copied).find(({ event }) => event === 'plan')).toMatchObject({ action: 'create', versions: 3 })
    expect(stepsOf(copied).find(({ event }) => event === 'note')).toMatchObject({ note: 'versions get the ids and dates of database' })
    const again = await keyturn('copy vault database --versions --json')
    expect(stepsOf(again)[0]).toMatchObject({ action: 'same', versions: 0 })
    // one more there, and only that one follows
    kv.put('app/db', { password: 'four' })
    const more = await keyturn('copy vault database --versions --json')
    expect(stepsOf(more)[0]).toMatchObject({ action: 'replace', versions: 1 })
    place.write('keyturn.yaml', 'database: {}\n')
    const broker = await start(place, setting.env)
    try {
      const { versions } = (await broker.ask('GET', '/v1/versions/app%2Fdb')).body
      expect(versions).toHaveLength(4)
      const values: string[] = []
      for (const { version } of versions)
        values.push((await broker.ask('GET', `/v1/secrets/app%2Fdb?version=${version}`)).body.fields.password)
      expect(values).toEqual(['four', 'three', 'two', 'one'])
    } finally {
      await broker.stop()
    }
  })

  test('a store without them gets what is current, and the plan says so', async () => {
    both()
    place.write('next.yaml', 'dotenv: { file: app.env, secrets: [{ path: DB, name: app/db, format: json }] }\n')
    const copied = await keyturn('copy vault dotenv --to-config next.yaml --versions')
    expect([copied.code, copied.err]).toEqual([0, expect.stringContaining('dotenv keeps no versions: only what is current is copied')])
    expect(place.read('app.env')).toBe(`DB='{"password":"three"}'\n`)
  })

  test('over another value only the current one goes, and the plan says what is left out', async () => {
    both()
    place.write('next.yaml', vaultSection('{ path: secret/data/app/other, name: app/db }'))
    kv.put('app/other', { password: 'unlike' })
    const copied = await keyturn('copy vault vault --to-config next.yaml --versions --json --verify')
    expect(copied.code, copied.err).toBe(0)
    expect(stepsOf(copied)[0]).toMatchObject({ action: 'replace', versions: 1, why: '2 older versions left out: vault has another value' })
  })
})

test('what is kept there in another form is refused in the plan, not by the write', async () => {
  kv.put('app/db', { password: 'x' })
  place.write('keyturn.yaml', `database: {}\n${vaultSection('{ path: secret/data/app/db, name: app/db }')}`)
  place.write('own.yaml', 'database: {}\n')
  place.write('text.yaml', 'dotenv: { file: app.env, secrets: [{ path: DB, name: app/db }] }\n')
  place.write('app.env', 'DB=one text\n')
  expect((await keyturn('copy dotenv database --config text.yaml --to-config own.yaml')).code).toBe(0)
  const refused = await keyturn('copy vault database --json')
  expect([refused.code, stepsOf(refused)[0]]).toEqual([
    2,
    expect.objectContaining({ action: 'cannot', why: 'database keeps it as one text, as it was first written: delete it there first' }),
  ])
})

test('from the store of one deployment to that of another, each under its own keys, recorded in both chains', async () => {
  const deployment = (name: string) => join(place.folder, name)
  for (const name of ['old', 'new']) place.write(`${name}/keyturn.yaml`, 'broker: { data: data, listen: "127.0.0.1:0" }\ndatabase: {}\n')
  const other = { ...setting.env, KEYTURN_DATA: join(deployment('old'), 'data') }
  place.write('keyturn.yaml', 'database: {}\n')
  const broker = await start(place, other)
  await broker.ask('PUT', '/v1/secrets/app%2Ftext', { body: { value: 'marker-text' } })
  await broker.ask('PUT', '/v1/secrets/app%2Fbytes', { body: { value: { base64: 'AP8K' } } })
  await broker.stop()
  const around = { env: { THE_TOKEN: setting.vault.root } }
  const copied = await keyturn('copy database database --config old/keyturn.yaml --to-config new/keyturn.yaml --verify', around)
  expect(copied.code, copied.err).toBe(0)
  expect(copied.err).toMatch(/recorded in .*old\/data\/audit\.copy\.jsonl and .*new\/data\/audit\.copy\.jsonl/)
  const moved = await start(place, { ...setting.env, KEYTURN_DATA: join(deployment('new'), 'data') })
  try {
    expect((await moved.ask('GET', '/v1/secrets/app%2Ftext')).body.value).toBe('marker-text')
    expect((await moved.ask('GET', '/v1/secrets/app%2Fbytes')).body.value).toEqual({ base64: 'AP8K' })
  } finally {
    await moved.stop()
  }
})

test('several fields of one path go in one write, and their neighbours stay', async () => {
  kv.put('from', { a: '1', b: '2', c: '3' })
  kv.put('to', { c: 'kept', n: 'kept' })
  const entries = (path: string) => `{ path: secret/data/${path}, key: a, name: app/a }, { path: secret/data/${path}, key: b, name: app/b }`
  place.write('keyturn.yaml', vaultSection(entries('from')))
  place.write('next.yaml', vaultSection(entries('to')))
  const copied = await keyturn('copy vault vault --to-config next.yaml --verify')
  expect(copied.code, copied.err).toBe(0)
  expect(setting.writes()).toHaveLength(1)
  const answer = await fetch(`${setting.vault.url}/v1/secret/data/to`, { headers: { 'x-vault-token': setting.vault.root } })
  expect(((await answer.json()) as { data: { data: unknown } }).data.data).toEqual({ a: '1', b: '2', c: 'kept', n: 'kept' })
})
