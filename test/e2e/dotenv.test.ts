import { afterAll, beforeAll, expect, test } from 'vitest'
import { Place, type Running, start } from './harness.ts'

const place = new Place()
let broker: Running

beforeAll(async () => {
  place.write('demo.env', 'DATABASE_URL=postgres://demo\nAPI_KEY="marker value"\n')
  place.write('keyturn.yaml', 'dotenv: { file: demo.env }\n')
  broker = await start(place)
})
afterAll(async () => {
  await broker?.stop()
  place.remove()
})

test('one secret of a .env file is read over HTTP, authorised, and recorded before the answer', async () => {
  const answer = await broker.ask('GET', '/v1/secrets/API_KEY')
  const lines = broker.audit()
  expect(answer.status).toBe(200)
  expect(answer.body).toMatchObject({ name: 'API_KEY', stage: 'current', type: 'generic', value: 'marker value', grace: null })
  expect(lines.at(-1)).toMatchObject({
    principal: 'token:admin',
    action: 'read',
    secret: 'API_KEY',
    outcome: 'allowed',
    version: answer.body.version,
  })
})
