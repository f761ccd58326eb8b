import { chmodSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { makeLog, startBroker } from '@keyturn/broker'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type Around, type Ran, ran } from '../test/fake-terminal.ts'
import { openDoor } from './broker-door.ts'
import { examineDisk } from './disk-findings.ts'

const folders: string[] = []
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

const config = `
broker: { listen: "127.0.0.1:0", data: data }
dotenv: { file: demo.env, names: kebab }
database: {}
secrets:
  demo/session: { type: service-token, every: 24h, grace: 1h }
  api-key: { type: api-key }
rotation:
  types: { api-key: { every: 90d, grace: 7d } }
`

/** A folder with a config; commands run in it. */
function place(files: Readonly<Record<string, string>> = {}): { folder: string; run: (line: string, around?: Around) => Promise<Ran> } {
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-cli-files-'))
  folders.push(folder)
  const all = { 'keyturn.yaml': config, 'demo.env': 'API_KEY=placeholder\n', ...files }
  for (const [name, text] of Object.entries(all)) writeFileSync(join(folder, name), text, { mode: 0o600 })
  return { folder, run: (line, around = {}) => ran(line.split(' '), { cwd: folder, ...around }) }
}

/** Starts a broker on a folder, as `serve` does, without its log, and waits until it has made what it makes at its start. */
async function started(folder: string): Promise<Awaited<ReturnType<typeof startBroker>>> {
  const running = await startBroker({
    config: join(folder, 'keyturn.yaml'),
    cwd: folder,
    env: inData(folder),
    log: makeLog({ KEYTURN_LOG_LEVEL: 'silent' }, { write: () => undefined }),
  })
  const headers = { authorization: `Bearer ${readFileSync(running.tokenFile, 'utf8').trim()}` }
  const made = () => fetch(`${running.address}/v1/versions/demo/session`, { headers }).then(answer => answer.status)
  await vi.waitUntil(async () => (await made()) === 200, { interval: 20, timeout: 10_000 })
  return running
}

const inData = (folder: string) => ({ KEYTURN_DATA: join(folder, 'data') })
const found = (answer: Ran) => answer.out.split('\n').map(line => line.split('\t')[0])

describe('check', () => {
  it('shows every secret with its figures and where each comes from', async () => {
    const { run } = place()
    const { code, out, err } = await run('check')
    expect([code, err]).toEqual([0, expect.stringContaining('any other name is kept by database')])
    expect(out).toMatch(/^api-key\tdotenv\tapi-key\t90d \(rotation\.types\.api-key keyturn\.yaml:\d+:\d+\)\t7d \(rotation/m)
    expect(out).toMatch(
      /^demo\/session\tdatabase\tservice-token\t24h \(row keyturn\.yaml:\d+:\d+\)\t1h \(row keyturn\.yaml:\d+:\d+\)\tgenerated \(default\)/m,
    )
    expect(JSON.parse((await run('check --json')).out).secrets).toHaveLength(2)
    expect((await run('check', { answers: [], columns: 400 })).out).toMatch(/NAME +STORE +TYPE +EVERY +GRACE/)
  })

  it('tells every complaint on stderr, with exit 2, and nothing on stdout', async () => {
    const { run } = place({ 'keyturn.yaml': 'rotaton: {}\nsecrets: { x: { type: api-kye } }\n' })
    const { code, out, err } = await run('check')
    expect([code, out]).toEqual([2, ''])
    expect(err).toMatch(/^keyturn\.yaml:1:1: rotaton: .*rotation/m)
    expect(err).toMatch(/^keyturn\.yaml:2:\d+: secrets\.x\.type: .*api-key/m)
  })

  it('finds the file by --config, by KEYTURN_CONFIG, by a folder and the environment', async () => {
    const { run, folder } = place({ 'production.yaml': 'environment: production\nrotaton: {}\n' })
    mkdirSync(join(folder, 'empty'))
    expect(await run('check --config none.yaml')).toMatchObject({
      code: 2,
      err: expect.stringContaining('there is no config file none.yaml'),
    })
    expect((await run('check --config .')).code).toBe(0)
    expect(await run('check --config .', { env: { KEYTURN_ENV: 'production' } })).toMatchObject({
      code: 2,
      err: expect.stringContaining('production.yaml:2'),
    })
    expect((await run('check', { cwd: join(folder, 'empty') })).code).toBe(2)
    expect((await run('check', { cwd: join(folder, 'empty'), env: { KEYTURN_CONFIG: join(folder, 'keyturn.yaml') } })).code).toBe(0)
  })

  it('prints the JSON Schema', async () => {
    const { run } = place()
    expect(JSON.parse((await run('config schema')).out)).toMatchObject({ $schema: expect.stringContaining('json-schema.org') })
  })
})

describe('the broker’s own files', () => {
  let folder: string
  let run: (line: string, around?: Around) => Promise<Ran>

  beforeAll(async () => {
    ;({ folder, run } = place())
    const running = await started(folder)
    await fetch(`${running.address}/v1/secrets/api-key`)
    await running.stop()
  })

  it('are verified offline, and each kind of end has its exit code', async () => {
    const env = inData(folder)
    const file = join(folder, 'data', 'audit.jsonl')
    const whole = readFileSync(file, 'utf8')
    expect(await run('audit verify', { env })).toMatchObject({
      code: 0,
      err: '',
      out: expect.stringMatching(/^ok: \d+ lines, numbers 1 to /),
    })
    const anchor = join(folder, 'anchor.json')
    writeFileSync(anchor, JSON.stringify({ seq: 99, hash: '0'.repeat(64) }))
    expect(await run(`audit verify --anchor ${anchor}`, { env })).toMatchObject({
      code: 7,
      err: expect.stringContaining('anchor: the chain ends'),
    })
    writeFileSync(file, whole.replace('unauthenticated', 'permission_denied'))
    expect(await run('audit verify', { env })).toMatchObject({
      code: 7,
      out: expect.stringMatching(/^tampered/),
      err: expect.stringMatching(/^line \d+: edited/),
    })
    expect(JSON.parse((await run('audit verify --json', { env })).out)).toMatchObject({ status: 'tampered' })
    writeFileSync(file, whole.slice(0, -40))
    // by itself the file is cut; what is missing from it is told by the head that the broker keeps beside it
    expect(await run(`audit verify ${file}`, { env })).toMatchObject({ code: 7, out: expect.stringMatching(/^cut/) })
    expect(await run('audit verify', { env })).toMatchObject({ code: 7, err: expect.stringContaining('its anchor holds') })
    const lines = whole.trimEnd().split('\n')
    writeFileSync(file, `${lines.slice(0, -1).join('\n')}\n`)
    expect(await run('audit verify', { env })).toMatchObject({ code: 7, err: expect.stringContaining('its anchor holds') })
    expect((await run('audit verify none.jsonl', { env })).code).toBe(4)
    writeFileSync(file, whole)
  })

  it('are verified with what was rotated away, and against the anchor of the config', async () => {
    const rotating = place({ 'keyturn.yaml': `${config}audit: { anchor: { file: anchor.json } }\n` })
    const env = inData(rotating.folder)
    await (await started(rotating.folder)).stop()
    const file = join(rotating.folder, 'data', 'audit.jsonl')
    renameSync(file, `${file}.1`)
    await (await started(rotating.folder)).stop()
    expect(await rotating.run('audit verify', { env })).toMatchObject({ code: 0, out: expect.stringMatching(/numbers 1 to/) })
    expect(await rotating.run(`audit verify ${file}`, { env })).toMatchObject({ code: 0, out: expect.not.stringMatching(/numbers 1 to/) })
    const lines = readFileSync(file, 'utf8').split('\n')
    const head = lines.findIndex(line => line.includes('"mac"'))
    writeFileSync(file, `${lines.slice(0, head + 1).join('\n')}\n`)
    expect(await rotating.run('audit verify', { env })).toMatchObject({ code: 7, err: expect.stringContaining('its anchor holds') })
  })

  it('show their last records, and follow', async () => {
    const env = inData(folder)
    const file = join(folder, 'data', 'audit.jsonl')
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
    expect((await run('audit tail -n 2 --json', { env })).out).toBe(`${lines.slice(-2).join('\n')}\n`)
    expect((await run(`audit tail ${file}`)).out).toContain('denied - read')
    expect((await run('audit tail -n few', { env })).code).toBe(2)
    const copy = join(folder, 'copy.jsonl')
    writeFileSync(copy, `${lines[0]}\n`)
    const stop = new AbortController()
    const following = run(`audit tail ${copy} --follow --json`, {
      signal: stop.signal,
      tap: text => text.includes('"seq":2,') && stop.abort(),
    })
    writeFileSync(copy, `${lines[1]}\n`, { flag: 'a' })
    expect(await following).toMatchObject({ code: 0, out: `${lines[0]}\n${lines[1]}\n` })
  })

  it('give an admin token when the first one is lost, and the broker takes it', async () => {
    const made = await run('token create --offline --ttl 1h --name rescue', { env: inData(folder) })
    expect(made).toMatchObject({ code: 0, out: expect.stringMatching(/^kt_\S+\n$/) })
    const running = await started(folder)
    const env = { KEYTURN_ADDR: running.address, KEYTURN_TOKEN: made.out.trim() }
    expect((await run('get api-key', { env })).out).toBe('placeholder')
    expect(await run('token create --offline --ttl 1h', { env: inData(folder) })).toMatchObject({ code: 5 })
    await running.stop()
  })
})

describe('doctor', () => {
  it('finds nothing wrong where nothing is', async () => {
    const { run, folder } = place()
    await (await started(folder)).stop()
    const answer = await run('doctor', { env: inData(folder) })
    expect([answer.code, new Set(found(answer))]).toEqual([0, new Set(['ok', ''])])
    expect((await run('doctor demo/session', { env: inData(folder) })).code).toBe(0)
    expect((await run('doctor --store dotenv', { env: inData(folder) })).code).toBe(0)
    expect(await run('doctor --store dotnev', { env: inData(folder) })).toMatchObject({
      code: 2,
      err: expect.stringContaining('did you mean dotenv?'),
    })
  })

  it('names data that others can read, and a ledger that something else holds', async () => {
    const { run, folder } = place()
    await (await started(folder)).stop()
    chmodSync(join(folder, 'data', 'ledger.db'), 0o644)
    expect(found(await run('doctor', { env: inData(folder) }))).toContain('data readable by others')
    chmodSync(join(folder, 'data', 'ledger.db'), 0o600)
    const holder = new DatabaseSync(join(folder, 'data', 'ledger.db'))
    holder.exec('PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE')
    expect(found(await run('doctor', { env: inData(folder) }))).toContain('ledger locked')
    holder.close()
  })

  it('names a missing KEK', async () => {
    const { run, folder } = place()
    await (await started(folder)).stop()
    renameSync(join(folder, 'data', 'keys'), join(folder, 'keys-elsewhere'))
    const answer = await run('doctor', { env: inData(folder) })
    expect([answer.code, found(answer)]).toEqual([1, expect.arrayContaining(['KEK missing'])])
  })

  it('names a full disk', async () => {
    const { folder } = place()
    const door = await openDoor()
    const read = await door.readConfig({ config: 'keyturn.yaml', cwd: folder, env: {} })
    mkdirSync(join(folder, 'data'), { mode: 0o700 })
    expect(examineDisk(read, false, () => 1024)).toContainEqual(
      expect.objectContaining({ ok: false, name: 'disk full', detail: '0 MiB free' }),
    )
    expect(examineDisk(read, false, () => 2 ** 40)).not.toContainEqual(expect.objectContaining({ ok: false }))
  })

  it('asks the running broker about what that alone can open', async () => {
    const { run, folder } = place()
    const running = await started(folder)
    const env = {
      ...inData(folder),
      KEYTURN_LISTEN: new URL(running.address).host,
      KEYTURN_TOKEN: readFileSync(running.tokenFile, 'utf8').trim(),
    }
    expect(await run('doctor', { env })).toMatchObject({ code: 0, out: expect.stringContaining('held by the running broker') })
    expect((await run('doctor', { env })).out).toContain('KEKs and stored values')
    expect(await run('doctor demo/session', { env })).toMatchObject({ code: 0, out: expect.stringContaining('it has 1 version') })
    expect(found(await run('doctor demo/sesion', { env }))).toEqual(expect.arrayContaining(['absent', 'misspelt']))
    expect(found(await run('doctor demo/session', { env: { ...env, KEYTURN_TOKEN: '' } }))).toContain('denied')
    await running.stop()
  })

  it('tells absent, denied, misspelt and unreachable apart', async () => {
    const server = createServer((_, response) =>
      response.writeHead(403, { 'content-type': 'application/json' }).end('{"errors":["permission denied"]}'),
    )
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const at = (port: number) => `
vault:
  address: http://127.0.0.1:${port}
  auth: { method: token, token: "\${VT}" }
  secrets: [{ path: secret/data/app/key, name: app/key }]
dotenv: { file: demo.env, secrets: [{ path: API_KEY, name: api-key }, { path: NONE, name: none }] }
`
    const { port } = server.address() as AddressInfo
    const refusing = place({ 'keyturn.yaml': at(port) })
    const env = { VT: 'hvs.test' }
    const refused = await refusing.run('doctor app/key', { env })
    expect([refused.err, found(refused)]).toEqual(['', expect.arrayContaining(['denied'])])
    const absent = await refusing.run('doctor none', { env })
    expect(absent).toMatchObject({ code: 1, out: expect.stringContaining('absent\tdotenv: none') })
    expect(await refusing.run('doctor api-kye', { env })).toMatchObject({ code: 1, out: expect.stringContaining('misspelt\tapi-kye') })
    expect(await refusing.run('doctor quite/another', { env })).toMatchObject({
      code: 1,
      out: expect.stringContaining('absent\tquite/another'),
    })
    await new Promise(resolve => server.close(resolve))
    server.closeAllConnections()
    const gone = place({ 'keyturn.yaml': at(port) })
    expect(found(await gone.run('doctor --store vault', { env }))).toContain('vault unreachable')
    expect(await gone.run('check --online', { env })).toMatchObject({ code: 1, out: expect.stringContaining('vault unreachable') })
  })
})
