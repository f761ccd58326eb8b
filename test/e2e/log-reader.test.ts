import { afterAll, beforeAll, expect, test } from 'vitest'
import { freePort } from '../servers/free-port.ts'
import { Child } from './child.ts'
import { Place, until } from './harness.ts'

const place = new Place()
let broker: Child

beforeAll(async () => {
  place.write('keyturn.yaml', 'database: {}\nsecrets:\n  demo/token: { type: service-token, every: 1d, grace: 1h, cache: 0s }\n')
  broker = await Child.start(place, await freePort())
})
afterAll(async () => {
  await broker?.kill()
  place.remove()
})

test('a broker goes on, and is idle, when whoever read its log has gone away', async () => {
  broker.stopListening()
  const read = () => broker.ask('GET', '/v1/secrets/demo/token')
  const before = await until('the first version', async () => ((await read()).status === 200 ? read() : undefined))
  // each step of a rotation is a line that nobody takes
  await broker.ask('POST', '/admin/v1/secrets/rotate/demo%2Ftoken')
  await until('another version', async () => ((await read()).body.version === before.body.version ? undefined : true))
  await new Promise(resolve => setTimeout(resolve, 500))
  const used = broker.processorMs()
  await new Promise(resolve => setTimeout(resolve, 1_000))
  // a loop that logs its own failure to log takes the whole second
  expect(broker.processorMs() - used).toBeLessThan(500)
  expect((await read()).status).toBe(200)
  expect(await broker.stop()).toBe(0)
})
