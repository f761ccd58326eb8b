import { mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { SmallBroker } from '../../../client/test/small-broker.ts'
import { type Around, ran } from '../../test/fake-terminal.ts'

let broker: SmallBroker
beforeAll(async () => {
  broker = await SmallBroker.start()
})
afterAll(() => broker.stop())
beforeEach(() => {
  broker.requests.length = 0
  broker.keks.ends.length = 0
  broker.keks.stale = 0
})
const newFolder = () => mkdtempSync(join(tmpdir(), 'keyturn-kek-'))
const asked = (line: string, around: Around = {}) =>
  ran(line.split(' '), { ...around, env: { KEYTURN_ADDR: broker.address, KEYTURN_TOKEN: broker.token, NO_COLOR: '1' } })

describe('kek status', () => {
  it('shows every KEK, what needs it and whether it may go; what a person has to know is on stderr', async () => {
    broker.keks.stale = 7
    expect(await asked('kek status')).toMatchObject({
      code: 0,
      out: 'v1\tdeactivated\t91d\tno\t7 versions\tno: 7 values need it\nv2\tactive (current)\t0d\tyes\t-\tno: it closes new values\n',
      err: expect.stringMatching(/KEK v1 is not loaded here: 7 values cannot be read.*\na new KEK is due: v2 is old\n/s),
    })
    const shown = (await asked('kek status', { answers: [] })).out
    expect(shown).toMatch(/^current v2 · promotion done · 1 broker · 0 open operations\nID +STATE/)
    expect(JSON.parse((await asked('kek status --json')).out).stale_counts).toEqual({ v1: 7 })
  })
})

describe('kek rewrap --wait', () => {
  it('ends with 0 when everything is under the current KEK, and tells what was done', async () => {
    broker.keks.ends.push({ state: 'done', done: 10 })
    expect(await asked('kek rewrap --wait')).toMatchObject({ code: 0, out: 'store\tdone\t10\t10\t0\t0\n' })
    expect(await asked('kek rewrap')).toMatchObject({ code: 0, out: expect.stringMatching(/^op_\d+\n$/) })
    broker.keks.ends.push({ state: 'done', done: 10 })
    const shown = await asked('kek rewrap --wait', { answers: [] })
    expect(shown.err).toContain('████████████████████████ 10/10 done')
  })

  it('gives a program one JSON line for each change', async () => {
    broker.keks.ends.push({ state: 'done', done: 10 })
    const { out } = await asked('kek rewrap --wait --json')
    const states = out
      .trim()
      .split('\n')
      .map(line => JSON.parse(line).state)
    expect(states).toEqual(['waiting', 'running', 'done'])
  })

  it('begins the next pass while rows were skipped and are stale, three times at most', async () => {
    broker.keks.stale = 1
    for (let pass = 0; pass < 3; pass += 1) broker.keks.ends.push({ state: 'done', done: 9, skipped: 1 })
    const answer = await asked('kek rewrap --wait')
    expect(answer).toMatchObject({ code: 1, err: expect.stringContaining('run it again when less is written') })
    expect(broker.requests.filter(({ line }) => line === 'POST /admin/v1/secrets/rotate-all')).toHaveLength(3)
    broker.keks.stale = 0
    broker.keks.ends.push({ state: 'done', done: 9, skipped: 1 })
    expect((await asked('kek rewrap --wait')).code).toBe(0)
  })

  it('ends with 1 when rows could not be opened, each by its name, and with 7 when the KEK is not current yet', async () => {
    broker.keks.ends.push({ state: 'failed', done: 9, failed: 1 })
    expect(await asked('kek rewrap --wait')).toMatchObject({
      code: 1,
      err: expect.stringContaining('store: a/b, version 3, under KEK v1: corrupt\n'),
    })
    broker.keks.ends.push({ state: 'waiting', note: 'v2 is held by 1 of 3 brokers' })
    expect(await asked('kek reencrypt --wait')).toMatchObject({ code: 7, err: expect.stringContaining('1 of 3 brokers') })
  })
})

describe('kek retire and destroy', () => {
  it('is refused while anything needs it: 5', async () => {
    broker.keks.stale = 7
    expect(await asked('kek retire v1')).toMatchObject({ code: 5, err: expect.stringContaining('7 values need it') })
    broker.keks.stale = 0
    expect(await asked('kek retire v1')).toMatchObject({ code: 0, err: expect.stringContaining('retired') })
  })

  it('needs a person who types the id and the count, or both as options, and asks twice', async () => {
    broker.keks.stale = 7
    expect((await asked('kek destroy v1')).code).toBe(2)
    expect((await asked('kek destroy v1 --confirm v2 --loses 7')).code).toBe(2)
    expect((await asked('kek destroy v1 --confirm v1')).code).toBe(2)
    expect(broker.requests).toEqual([])
    expect(await asked('kek destroy v1 --confirm v1 --loses 6')).toMatchObject({
      code: 5,
      err: expect.stringContaining('7 values would be lost, not 6'),
    })
    expect((await asked('kek destroy v1', { answers: ['v2', '7'] })).code).toBe(1)
    expect((await asked('kek destroy v1', { answers: ['v1', '8'] })).code).toBe(5)
    expect(broker.requests.every(({ body }) => !body.includes('confirmation'))).toBe(true)
    expect(await asked('kek destroy v1', { answers: ['v1', '7'] })).toMatchObject({ code: 0, err: expect.stringContaining('destroyed') })
    expect(JSON.parse(broker.requests.at(-1)?.body ?? '')).toEqual({ confirm: 'v1', confirmation: 'word', loses: 7 })
    expect((await asked('kek destroy v1 --confirm v1 --loses 7 --json')).out).toContain('"destroyed"')
  })
})

describe('kek new and promote', () => {
  const form = /^[A-Za-z0-9_-]{43}\n$/

  it('writes a file for its owner alone, never over another, and prints the key only where stdout was asked for', async () => {
    const cwd = newFolder()
    const made = await asked('kek new v2 --out v2.key', { cwd })
    expect(made).toMatchObject({ code: 0, out: '', err: expect.stringContaining('_KEK_v2') })
    const text = readFileSync(join(cwd, 'v2.key'), 'utf8')
    expect(text).toMatch(form)
    expect(made.err).not.toContain(text.trim())
    expect(statSync(join(cwd, 'v2.key')).mode & 0o777).toBe(0o600)
    expect((await asked('kek new v2 --out v2.key', { cwd })).code).toBe(5)
    expect(readFileSync(join(cwd, 'v2.key'), 'utf8')).toBe(text)
    expect((await asked('kek new v2 --out -', { cwd })).out).toMatch(form)
    expect((await asked('kek new a/b --out -', { cwd })).code).toBe(2)
  })

  it('puts it into the folder of the keys, where it is current only after promote', async () => {
    const cwd = newFolder()
    writeFileSync(join(cwd, 'keyturn.yaml'), 'database: {}\nbroker: { data: data }\n')
    expect((await asked('kek new k1 --current', { cwd })).code).toBe(0)
    expect((await asked('kek new k2', { cwd })).err).toContain('next: keyturn kek promote k2')
    const folder = join(cwd, 'data/keys')
    expect([readdirSync(folder).sort(), readFileSync(join(folder, 'current'), 'utf8')]).toEqual([['current', 'k1.key', 'k2.key'], 'k1\n'])
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    expect((await asked('kek new k2', { cwd })).code).toBe(5)
    expect((await asked('kek promote k3', { cwd })).code).toBe(4)
    expect((await asked('kek promote k2', { cwd })).code).toBe(0)
    expect(readFileSync(join(folder, 'current'), 'utf8')).toBe('k2\n')
    mkdirSync(join(folder, '..data'))
    expect(await asked('kek new k4', { cwd })).toMatchObject({ code: 1, err: expect.stringContaining('volume of Kubernetes') })
  })

  it('says what to do where the keys are variables', async () => {
    const cwd = newFolder()
    writeFileSync(join(cwd, 'keyturn.yaml'), 'database: {}\nbroker: { data: data, keys: { provider: env, prefix: TALOS } }\n')
    expect(await asked('kek new v2', { cwd })).toMatchObject({ code: 2, err: expect.stringContaining('TALOS_KEK_v2') })
    expect(await asked('kek promote v2', { cwd })).toMatchObject({ code: 2, err: expect.stringContaining('TALOS_CURRENT_KEK_ID=v2') })
  })
})
