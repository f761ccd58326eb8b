import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { blocksOf } from '../docs/blocks.ts'
import { Place, type Running, start } from './harness.ts'

const root = join(import.meta.dirname, '../..')
const page = readFileSync(join(root, 'packages/client/README.md'), 'utf8')
const [remote = '', local = ''] = blocksOf(page, 'README.md').map(({ text }) => text)
const row = /`(session-secret: \{.*?\})`/.exec(page)?.[1]

let place: Place
let broker: Running
beforeAll(async () => {
  place = new Place()
  place.write('keyturn.yaml', `database: {}\nsecrets:\n  ${row}\n`)
  broker = await start(place)
})
afterAll(async () => {
  await broker?.stop()
  place?.remove()
})

/** Runs code as a service of this repository would have it, and gives what it prints. */
async function printed(code: string, cwd = root): Promise<string> {
  const args = ['--conditions=@keyturn/source', '--no-warnings', '--input-type=module-typescript', '--eval', code]
  return (await promisify(execFile)(process.execPath, args, { cwd, env: {} })).stdout
}

test('the code of the page runs as it stands, against a broker with the row that it names', async () => {
  const here = remote.replace('http://127.0.0.1:8320', broker.serving.address).replace('/run/keyturn/token', broker.serving.tokenFile)
  const { version: before } = (await broker.ask('GET', '/v1/secrets/session-secret')).body
  const [password, version] = (await printed(`${here}\nconsole.log(password)\nconsole.log(version)`)).split('\n')
  expect(password).toBe('placeholder')
  expect((await broker.ask('GET', '/v1/secrets/session-secret')).body.version).toBe(version)
  expect(version).not.toBe(before)
})

test('and so does that for a .env file', async () => {
  const at = `process.chdir(${JSON.stringify(place.folder)})\n`
  place.write('.env', 'TEST_SECRET=placeholder\n')
  expect(await printed(`${local.replace('\n\n', `\n\n${at}`)}\nconsole.log(value)`)).toBe('placeholder\n')
})

test('a secret without a row says what is missing', async () => {
  await broker.ask('PUT', '/v1/secrets/unknown', { body: { value: 'v', type: 'jwt' } })
  const refused = await broker.ask('POST', '/admin/v1/secrets/rotate/unknown', { body: { reason: 'drill' } })
  expect(refused).toMatchObject({ status: 501, body: { detail: 'unknown has no row in the config, and is never rotated here' } })
})
