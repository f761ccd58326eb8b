import { afterEach, beforeEach, expect, test } from 'vitest'
import { rowsOf, Setting, stepsOf } from './copy-harness.ts'

let setting: Setting
beforeEach(async () => {
  setting = await Setting.start()
})
afterEach(() => setting.close())

const pair = (count = 4) => {
  const names = Array.from({ length: count }, (_, at) => `app/s${at}`)
  for (const [at, name] of names.entries()) setting.kv.put(name, { password: `marker-${at}` })
  setting.place.write('keyturn.yaml', `${setting.vaultSection('{ under: secret/data/app/, name: app/ }')}database: {}\n`)
  return names
}

test('one secret that fails is its own affair: the others go, it is named, and the exit code says whether to try again', async () => {
  pair()
  setting.vault.turn(/^GET \/v1\/secret\/data\/app\/s1/, { do: 'fail', status: 403, errors: ['permission denied'] })
  const one = await setting.keyturn('copy vault database --json')
  setting.vault.turnBack()
  expect(one.code).toBe(1)
  expect(stepsOf(one).at(-1)).toMatchObject({ copied: 3, failed: 1 })
  expect(stepsOf(one).find(({ name }) => name === 'app/s1')).toMatchObject({ action: 'failed', code: 'permission_denied' })
  const rest = await setting.keyturn('copy vault database --json --verify')
  expect([rest.code, stepsOf(rest).at(-1)]).toEqual([0, expect.objectContaining({ copied: 1, same: 3, differs: 0 })])
})

test('a store that is away is one error, exit 6', async () => {
  pair()
  await setting.vault.close()
  const away = await setting.keyturn('copy vault database')
  expect([away.code, away.out]).toEqual([6, ''])
})

test('throttled, it waits as long as the store asks and goes on', async () => {
  pair()
  setting.vault.turn(/^GET \/v1\/secret\/data/, { do: 'throttle', retryAfter: '1' }, 3)
  const patient = await setting.keyturn('copy vault database --json --verify')
  expect(patient.code, patient.err).toBe(0)
  expect(stepsOf(patient).find(({ event }) => event === 'pause')).toMatchObject({ store: 'vault', code: 'throttled', seconds: 1 })
  expect(stepsOf(patient).at(-1)).toMatchObject({ copied: 4, differs: 0 })
})

test('throttled while it writes, it sends the same intent again', async () => {
  setting.place.write('app.env', 'ONE=1\nTWO=2\n')
  setting.place.write('keyturn.yaml', 'dotenv: { file: app.env }\n')
  setting.place.write(
    'next.yaml',
    setting.vaultSection('{ path: secret/data/one, key: value, name: ONE }, { path: secret/data/two, key: value, name: TWO }'),
  )
  setting.vault.turn(/^(POST|PUT) \/v1\/secret\/data/, { do: 'throttle', retryAfter: '1' }, 2)
  const patient = await setting.keyturn('copy dotenv vault --to-config next.yaml --verify --json')
  expect(patient.code, patient.err).toBe(0)
  expect(stepsOf(patient).at(-1)).toMatchObject({ copied: 2, differs: 0 })
  for (const name of ['one', 'two']) expect(setting.kv.secrets.get(name)?.versions.size).toBe(1)
})

test('a store that takes nothing fails every secret by its name, and the source is as it was', async () => {
  setting.place.write('app.env', 'ONE=1\nTWO=2\n')
  setting.place.write('keyturn.yaml', 'dotenv: { file: app.env }\n')
  setting.place.write(
    'next.yaml',
    setting.vaultSection('{ path: secret/data/one, key: value, name: ONE }, { path: secret/data/two, key: value, name: TWO }'),
  )
  setting.vault.turn(/^(POST|PUT) \/v1\/secret\/data/, { do: 'fail', status: 403, errors: ['permission denied'] })
  const denied = await setting.keyturn('copy dotenv vault --to-config next.yaml --verify')
  expect(denied.code).toBe(1)
  expect(rowsOf(denied).map(row => [row[0], row[3], row[5]])).toEqual([
    ['ONE', 'failed', '-'],
    ['TWO', 'failed', '-'],
  ])
  expect(denied.err).toContain('2 failed')
  expect(setting.place.read('app.env')).toBe('ONE=1\nTWO=2\n')
})

test('an answer that is lost behind a write is looked for, and makes no second version', async () => {
  setting.place.write('app.env', 'ONE=1\n')
  setting.place.write('keyturn.yaml', 'dotenv: { file: app.env }\n')
  setting.place.write('next.yaml', setting.vaultSection('{ path: secret/data/one, key: value, name: ONE }'))
  setting.vault.turn(/^(POST|PUT) \/v1\/secret\/data\/one/, { do: 'cut' }, 1)
  const copied = await setting.keyturn('copy dotenv vault --to-config next.yaml --verify')
  expect(copied.code, copied.err).toBe(0)
  expect(rowsOf(copied)).toEqual([['ONE', 'ONE', 'secret/data/one', 'copied', '1', 'yes', '']])
})

test('what somebody wrote there since the plan is not written over', async () => {
  setting.place.write('app.env', 'ONE=1\n')
  setting.place.write('keyturn.yaml', 'dotenv: { file: app.env }\n')
  setting.place.write('next.yaml', setting.vaultSection('{ path: secret/data/one, key: value, name: ONE }'))
  const raced = await setting.keyturn('copy dotenv vault --to-config next.yaml --json', {
    tap: text => {
      if (text.includes('"event":"plan"')) setting.kv.put('one', { value: 'somebody else' })
    },
  })
  expect(raced.code).toBe(1)
  expect(stepsOf(raced).find(({ event }) => event === 'result')).toMatchObject({ result: 'failed', code: 'conflict' })
  expect(setting.writes()).toEqual([])
})

test('--verify finds a difference: exit 1 with the name', async () => {
  pair()
  const changed = await setting.keyturn('copy vault database --json --verify', {
    tap: text => {
      if (text.includes('"event":"result"') && text.includes('app/s2')) setting.kv.put('app/s2', { password: 'changed behind the copy' })
    },
  })
  expect(changed.code).toBe(1)
  expect(
    stepsOf(changed)
      .filter(({ result }) => result === 'differs')
      .map(({ name }) => name),
  ).toEqual(['app/s2'])
})

test('--verify reads through connections and logins of its own', async () => {
  pair(1)
  let before = 0
  const copied = await setting.keyturn('copy vault database --json --verify', {
    tap: text => {
      if (text.includes('"event":"result"')) before = setting.vault.connections
    },
  })
  expect([copied.code, setting.vault.connections > before, before > 0]).toEqual([0, true, true])
})

test('told to stop, it ends between two secrets, and the next run goes on', async () => {
  const names = pair(40)
  const stop = new AbortController()
  let seen = 0
  const stopped = await setting.keyturn('copy vault database --json', {
    signal: stop.signal,
    tap: text => {
      if (text.includes('"event":"result"')) seen += 1
      if (seen === 5) stop.abort()
    },
  })
  expect([stopped.code, stopped.err]).toEqual([
    1,
    expect.stringContaining('the copy was stopped between two secrets\n  run it again to go on'),
  ])
  const end = stepsOf(stopped).at(-1)
  expect(end.copied).toBeGreaterThanOrEqual(5)
  expect(end.untried).toBeGreaterThan(0)
  const rest = await setting.keyturn('copy vault database --json --verify')
  expect(rest.code, rest.err).toBe(0)
  expect(stepsOf(rest).at(-1)).toMatchObject({ same: end.copied, copied: names.length - end.copied, differs: 0 })
})

test('nothing is read that cannot be recorded', async () => {
  pair()
  setting.place.write('in-the-way.copy/file', '')
  setting.place.write('keyturn.yaml', `${setting.place.read('keyturn.yaml')}audit: { file: in-the-way }\n`)
  const seen = setting.vault.seen.length
  const refused = await setting.keyturn('copy vault database')
  expect([refused.code, refused.err]).toEqual([6, expect.stringContaining('audit cannot be written')])
  expect(setting.vault.seen.slice(seen).filter(({ path }) => path.includes('/data/'))).toEqual([])
})

test.each([
  ['copy vault databse', 2, 'did you mean database'],
  ['copy vault vault', 2, 'name another one'],
  ['copy vault database --only app/none', 4, 'vault has no app/none'],
])('%s: exit %i', async (line, code, words) => {
  pair()
  expect(await setting.keyturn(line)).toMatchObject({ code, err: expect.stringContaining(words) })
})
