import { createSecretKey } from 'node:crypto'
import { mkdtempSync, renameSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AuditLog } from '@keyturn/audit'
import type { Config } from '@keyturn/config'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../clock.ts'
import { pooledRandom } from '../random.ts'
import { AuditSinks } from './audit-sinks.ts'

let folder: string
let log: AuditLog
let server: Server
let got: string[]
let status: number
let running: AuditSinks | undefined
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'keyturn-sinks-'))
  const key = { id: 'a1', key: createSecretKey(Buffer.alloc(32, 7)) }
  log = await AuditLog.open({ path: join(folder, 'audit.jsonl'), key, clock: systemClock })
  got = []
  status = 204
  server = createServer((request, response) => {
    let body = ''
    request.on('data', chunk => (body += String(chunk)))
    request.on('end', () => {
      expect(request.headers.authorization).toBe('Bearer sink-token')
      if (status === 204) got.push(...body.trimEnd().split('\n'))
      response.writeHead(status, { location: 'http://127.0.0.1:1/' }).end()
    })
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
})
afterEach(async () => {
  await running?.stop()
  await log.close()
  await new Promise(done => server.close(done))
  rmSync(folder, { recursive: true })
})

const append = (requestId: string) =>
  log.append({
    principal: null,
    action: 'read',
    secret: null,
    version: null,
    field: null,
    outcome: 'allowed',
    code: null,
    requestId,
    source: null,
  })

function start(): AuditSinks {
  // a server that listens on a port
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/records`
  const sinks = [
    { kind: 'webhook', url, token: 'sink-token' },
    { kind: 'webhook', url: '' },
  ]
  // of the config only what a sink reads
  const config = { broker: { data: folder }, audit: { sinks } } as unknown as Config
  running = new AuditSinks({ config, audit: log, clock: systemClock, random: pooledRandom(), log: pino({ level: 'silent' }) })
  running.start()
  return running
}

const numbers = () => got.map(line => JSON.parse(line).seq)
const upTo = (last: number) => Array.from({ length: last }, (_, at) => at + 1)

test('a sink gets every line once, in order, across a restart and a rotation of the file', async () => {
  const first = start()
  for (let at = 0; at < 20; at += 1) await append(`r${at}`)
  await expect.poll(numbers).toEqual(upTo(21))
  await first.stop()
  await append('while nobody carries')
  renameSync(log.path, `${log.path}.1`)
  await append('in the next file')
  start()
  await expect.poll(numbers).toEqual(upTo(23))
})

test('a sink that is away blocks nobody and loses nothing', async () => {
  status = 503
  const sinks = start()
  for (let at = 0; at < 20; at += 1) await append(`r${at}`)
  await expect.poll(() => sinks.states).toMatchObject([{ ok: false, delivered: 0 }])
  status = 302
  await append('still away')
  status = 204
  await expect.poll(numbers, { timeout: 10_000 }).toEqual(upTo(22))
  expect(sinks.states).toMatchObject([{ ok: true, delivered: 22 }])
})

test('what is not yet durable is not told', async () => {
  await append('r')
  const { lines, place } = log.follow(null)
  expect(lines).toHaveLength(2)
  const pending = append('later')
  expect(log.follow(place).lines).toEqual([])
  await pending
  expect(log.follow(place).lines).toHaveLength(1)
})

test('a kind that is not built is refused', () => {
  const config = { broker: { data: folder }, audit: { sinks: [{ kind: 'postgres', url: 'postgres://h/d' }] } } as unknown as Config
  const parts = { config, audit: log, clock: systemClock, random: pooledRandom(), log: pino({ level: 'silent' }) }
  expect(() => new AuditSinks(parts)).toThrow('audit sinks of kind postgres are not in this build')
})
