import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { ran } from '../../packages/cli/test/fake-terminal.ts'
import { blocksOf } from '../docs/blocks.ts'
import { Place, start, until } from './harness.ts'
import { Served } from './served.ts'

const places: Place[] = []
const newPlace = () => {
  const place = new Place()
  places.push(place)
  return place
}
afterAll(() => {
  for (const place of places) place.remove()
})

test('the page on importing: its files are read, its commands work, and they print what it says', async () => {
  const place = newPlace()
  const blocks = blocksOf(readFileSync(join(import.meta.dirname, '../../docs/import.md'), 'utf8'), 'import.md')
  for (const { file, text } of blocks) if (file !== undefined) place.write(file, text)
  const running = await start(place)
  const env = { KEYTURN_ADDR: running.serving.address, KEYTURN_TOKEN: running.token }
  let printed = ''
  for (const line of blocks.filter(({ role }) => role === 'run').flatMap(({ text }) => text.trim().split('\n'))) {
    const [words = '', file = ''] = line.split(' < ')
    const answer = await ran(words.split(' ').slice(3), { cwd: place.folder, env, stdin: place.read(file) })
    expect(answer.code, answer.err).toBe(0)
    printed += answer.out
  }
  expect(printed).toBe(blocks.find(({ role }) => role === 'printed')?.text)
  expect((await running.ask('GET', '/v1/secrets/orders/smtp')).body).toMatchObject({ type: 'service-token', labels: { tier: 'gold' } })
  expect((await running.ask('GET', '/v1/secrets/orders/certificate')).body.value).toContain('CERTIFICATE-----\nplaceholder\n')
  const records = running.audit().filter(({ action }) => action === 'write')
  expect(records.map(({ outcome }) => outcome)).toEqual(['allowed', 'allowed', 'allowed', 'allowed', 'failed', 'failed'])
  await running.stop()
}, 30_000)

const count = 500
const textAt = (at: number) => `value ${at} "with", all\nof it`
const csv = `name,type,value\n${Array.from({ length: count }, (_, at) => `app/s${at},api-key,"${textAt(at).replaceAll('"', '""')}"\n`).join('')}`

/** `keyturn import` as a process of its own. */
function importing(served: Served): ChildProcess {
  const command = join(import.meta.dirname, '../../packages/cli/bin/keyturn.mjs')
  const child = spawn(process.execPath, ['--conditions=@keyturn/source', command, 'import', '--json'], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, KEYTURN_ADDR: served.address, KEYTURN_TOKEN: readFileSync(served.adminFile, 'utf8').trim() },
  })
  child.stdin?.on('error', () => undefined).end(csv)
  return child
}

/** Resolves when the import has told of so many entries, or is over. */
function told(child: ChildProcess, most: number): Promise<void> {
  return new Promise(resolve => {
    let lines = 0
    child.once('exit', () => resolve())
    child.stdout?.on('data', chunk => {
      lines += String(chunk).split('\n').length - 1
      if (lines >= most) resolve()
    })
  })
}

test('an import whose program, and whose broker, is killed: the next one brings in the rest, each once, and copy takes it on', async () => {
  const place = newPlace()
  place.write('keyturn.yaml', 'database: {}\n')
  place.write('next.yaml', 'database: { file: other.db }\n')
  const first = await Served.start(place, 'keyturn.yaml', {})
  const killed = importing(first)
  await told(killed, 60)
  killed.kill('SIGKILL')
  await once(killed, 'exit')
  const second = importing(first)
  await told(second, 200)
  await first.kill()
  const [code] = await once(second, 'exit')
  expect(code).toBe(6)
  const served = await until('the place is free', () => Served.start(place, 'keyturn.yaml', {}).catch(() => undefined))
  const env = { KEYTURN_ADDR: served.address, KEYTURN_TOKEN: readFileSync(served.adminFile, 'utf8').trim() }
  const last = await ran(['import', '--json'], { env, stdin: csv })
  const end = JSON.parse(last.out.trim().split('\n').at(-1) ?? '')
  expect(last).toMatchObject({ code: 0, err: '' })
  expect([end.written + end.same, end.written > 0, end.same >= 200]).toEqual([count, true, true])
  expect(served.output + last.out).not.toContain('with", all')
  for (const at of [0, 1, 59, 60, 61, 76, 199, 200, 201, 216, count - 1]) {
    expect((await served.ask('GET', `/v1/secrets/app/s${at}`)).body).toMatchObject({ value: textAt(at), type: 'api-key' })
  }
  await served.stop()
  const data = { KEYTURN_DATA: join(place.folder, 'data'), NO_COLOR: '1' }
  const words = ['copy', 'database', 'database', '--to-config', 'next.yaml', '--verify', '--json']
  const copied = await ran(words, { cwd: place.folder, env: data })
  expect(copied.code, copied.err).toBe(0)
  expect(JSON.parse(copied.out.trim().split('\n').at(-1) ?? '')).toMatchObject({ copied: count, failed: 0, differs: 0 })
}, 180_000)
