import { join } from 'node:path'
import { kinds, listen, makeApp, makeLog, type OpenedBroker, openBroker, pooledRandom, readConfig, systemClock } from '@keyturn/broker'
import { BrokerError } from '@keyturn/core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { askAt, Place, start } from './harness.ts'

const place = new Place()
const marker = 'marker-of-the-value'
let opened: OpenedBroker
let address: string
let stop: () => Promise<void>
let token: string
/** How the record goes wrong, and when. */
let fault: 'none' | 'refused' | 'late' = 'none'
let appended = 0

beforeAll(async () => {
  place.write('keyturn.yaml', 'database: {}\nsecrets:\n  app/kept: { type: service-token, every: 1d, grace: 1h, cache: 1m }\n')
  const first = await start(place)
  await first.ask('PUT', '/v1/secrets/app/text', { body: { value: marker } })
  token = first.token
  await first.stop()
  const env = { KEYTURN_LISTEN: '127.0.0.1:0', KEYTURN_DATA: join(place.folder, 'data') }
  const config = await readConfig({ config: join(place.folder, 'keyturn.yaml'), cwd: place.folder, env })
  const log = makeLog(env, { write: () => undefined })
  opened = await openBroker({ config, kinds: await kinds(), env, clock: systemClock, random: pooledRandom(), log, version: '0' })
  const { audit } = opened.broker
  const faulty = {
    contains: audit.contains.bind(audit),
    healthy: () => true,
    append: async (event: Parameters<typeof audit.append>[0]) => {
      if (fault === 'refused') throw new BrokerError('unavailable', 'audit cannot be written: ENOSPC', { detail: { reason: 'audit' } })
      if (fault === 'late') await new Promise(resolve => setTimeout(resolve, 150))
      await audit.append(event)
      appended += 1
    },
  }
  const broker = { ...opened.broker, audit: faulty }
  const listening = await listen(broker, makeApp(broker), config.broker.listen)
  address = listening.address
  stop = () => listening.stop()
})
afterAll(async () => {
  await stop?.()
  await opened?.close(0)
  place.remove()
})

const reads = [
  ['GET', '/v1/secrets/app/text', undefined],
  ['GET', '/v1/secrets/app/text?stage=current', undefined],
  ['POST', '/v1/secrets:batch', { items: [{ name: 'app/text' }] }],
  ['GET', '/v1/secrets', undefined],
  ['GET', '/v1/versions/app/text', undefined],
  ['GET', '/v1/secrets/app/absent', undefined],
] as const

test('what cannot be recorded is not answered: 503, and no value, however warm the read is', async () => {
  for (const [method, target, body] of reads) {
    fault = 'none'
    // twice: the second read goes the short way
    for (let times = 0; times < 2; times += 1) await askAt(address, method, target, { token, body })
    fault = 'refused'
    const answer = await askAt(address, method, target, { token, body })
    expect([target, answer.status, answer.body.code]).toEqual([target, 503, 'unavailable'])
    expect(answer.text + JSON.stringify([...answer.headers])).not.toContain(marker)
  }
})

test('the answer comes after its record, not beside it', async () => {
  fault = 'none'
  await askAt(address, 'GET', '/v1/secrets/app/text', { token })
  fault = 'late'
  for (const [method, target, body] of reads) {
    const before = appended
    await askAt(address, method, target, { token, body })
    expect([target, appended - before]).toEqual([target, 1])
  }
})
