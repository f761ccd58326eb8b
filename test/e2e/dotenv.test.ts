import { afterAll, beforeAll, expect, test } from 'vitest'
import { Place, type Running, start, until } from './harness.ts'

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

test('a variable whose format is json is a set of fields, and what is not touched stays as it was written', async () => {
  const other = new Place()
  other.write('app.env', `SMTP='{"user":"u","port":12345678901234567890}'\nREST=x\n`)
  other.write(
    'keyturn.yaml',
    `dotenv: { file: app.env, secrets: [{ path: SMTP, name: app/smtp, format: json }, { path: REST }] }
secrets: { app/smtp: { type: service-token, every: 1d, grace: 1h, renew: [user] } }
`,
  )
  const running = await start(other)
  try {
    expect((await running.ask('GET', '/v1/secrets/app/smtp')).body.fields).toEqual({ user: 'u', port: '12345678901234567890' })
    expect((await running.ask('POST', '/admin/v1/secrets/rotate/app%2Fsmtp')).status).toBe(202)
    const user = await until('the rotation', async () => {
      const now = (await running.ask('GET', '/v1/secrets/app/smtp')).body.fields.user
      return now === 'u' ? undefined : now
    })
    expect(other.read('app.env')).toBe(`SMTP='{"port":12345678901234567890,"user":"${user}"}'\nREST=x\n`)
    expect((await running.ask('PUT', '/v1/secrets/app/smtp', { body: { value: 'x' } })).status).toBe(400)
  } finally {
    await running.stop()
    other.remove()
  }
})
