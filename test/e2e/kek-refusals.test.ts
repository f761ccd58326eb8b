import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { BrokerError } from '@keyturn/core'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Place, type Running, start, until } from './harness.ts'

const kek = () => randomBytes(32).toString('base64url')

/** Texts that are refused. */
const spoiled: readonly (readonly [string, (key: string) => string])[] = [
  ['too short', key => key.slice(0, 42)],
  ['too long', key => `${key}A`],
  ['padded', key => `${key}=`],
  ['in quotes, as docker --env-file leaves them', key => `"${key}"`],
  ['with a carriage return', key => `${key}\r`],
  ['in plain base64', key => `+/${key.slice(2)}`],
  ['in hex', key => Buffer.from(key, 'base64url').toString('hex')],
]

let place: Place
let broker: Running | null

beforeEach(() => {
  place = new Place()
  broker = null
})
afterEach(async () => {
  await broker?.stop()
  place.remove()
})

/** Not even twelve characters of it, in what was said, logged, or left on the disk outside the folder of the keys. */
function mustBeHidden(said: string, keys: readonly string[]): void {
  const files = readdirSync(place.folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && !entry.name.endsWith('.key') && entry.name !== 'current')
    .map(entry => readFileSync(join(entry.parentPath, entry.name), 'latin1'))
  const texts = [said, ...place.logged, ...files]
  for (const key of keys) {
    for (let at = 0; at + 12 <= key.length; at += 1) {
      const piece = key.slice(at, at + 12)
      if (texts.some(text => text.includes(piece))) throw new Error(`a piece of a key is shown (${at})`)
    }
  }
}

const seen = (error: unknown) => {
  if (!(error instanceof BrokerError)) throw error
  return [error.message, error.hint, error.stack, JSON.stringify(error), inspect(error, { depth: 9 })].join('\n')
}

test.each(spoiled)('a variable %s: refused with its id, and neither shown nor logged', async (_how, spoil) => {
  place.write('keyturn.yaml', 'environment: test\nbroker: { keys: { provider: env, prefix: TALOS } }\nsealed: { kind: database }\n')
  const [good, key] = [kek(), kek()]
  const env = { TALOS_KEK_v1: good, TALOS_KEK_v2: spoil(key), TALOS_CURRENT_KEK_ID: 'v1', KEYTURN_LOG_LEVEL: 'debug' }
  const said = await start(place, env).then(() => 'it was taken', seen)
  expect(said).toContain('KEK v2')
  mustBeHidden(said, [good, key, spoil(key)])
})

test('the command says the same, and ends with a code', () => {
  place.write('keyturn.yaml', 'environment: test\nbroker: { keys: { provider: env, prefix: TALOS } }\nsealed: { kind: database }\n')
  const [good, key] = [kek(), kek()]
  const cli = join(import.meta.dirname, '../../packages/cli/bin/keyturn.mjs')
  for (const command of ['serve', 'doctor']) {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['--conditions=@keyturn/source', cli, command, '--config', 'keyturn.yaml'],
      {
        cwd: place.folder,
        encoding: 'utf8',
        env: {
          PATH: process.env.PATH,
          KEYTURN_DATA: join(place.folder, 'data'),
          KEYTURN_LISTEN: '127.0.0.1:0',
          TALOS_KEK_v1: good,
          TALOS_KEK_v2: `"${key}"`,
          TALOS_CURRENT_KEK_ID: 'v1',
        },
      },
    )
    expect([command, status]).not.toEqual([command, 0])
    expect(stdout + stderr).toMatch(/KEK v2 is refused: it holds quotes/)
    expect(stderr).not.toContain('    at ')
    mustBeHidden(stdout + stderr, [good, key])
  }
})

test('a file that is refused while a broker runs, a current id that is a key, and another key under a known id', {
  timeout: 60_000,
}, async () => {
  place.write('keyturn.yaml', 'environment: test\nsealed: { kind: database }\n')
  broker = await start(place, { KEYTURN_LOG_LEVEL: 'debug' })
  const running = broker
  const folder = join(place.folder, 'data/keys')
  const good = readFileSync(join(folder, 'k1.key'), 'utf8').trim()
  const refusal = async () => (await running.ask('GET', '/admin/v1/secrets/kek-status')).body.refusal
  const told: string[] = []
  const put = async (name: string, text: string, after: string) => {
    writeFileSync(join(folder, name), text, { mode: 0o600 })
    await until(`${after} is told`, async () => ((await refusal())?.includes(after) ? true : undefined))
    told.push(await refusal())
  }
  const [key, other] = [kek(), kek()]
  await put('k2.key', `"${key}"\n`, 'quotes')
  await put('k2.key', `${good}\n`, 'the same key')
  await put('k2.key', `${key}\n${other}\n`, 'white space')
  writeFileSync(join(folder, 'k2.key'), `${key}\n`, { mode: 0o600 })
  await put('current', `${other}\n`, 'no id')
  writeFileSync(join(folder, 'current'), 'k1\n', { mode: 0o600 })
  await until('it is well', async () => ((await refusal()) === null ? true : undefined))
  await put('k2.key', `${other}\n`, 'KEK k2')
  expect((await running.ask('PUT', '/v1/secrets/a', { body: { value: 'x' } })).status).toBe(201)
  mustBeHidden(told.join('\n'), [good, key, other])
})
