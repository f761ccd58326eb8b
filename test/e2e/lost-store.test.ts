import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { Place, start, until } from './harness.ts'

const place = new Place()
afterAll(() => place.remove())

test('a store that comes back empty is not filled with new values: what was there is missed, by name', async () => {
  place.write('keyturn.yaml', 'database: {}\nsecrets:\n  app/key: { type: service-token, every: 1d, grace: 1h, cache: 0s }\n')
  const before = await start(place)
  await until('the first version', async () => ((await before.ask('GET', '/v1/secrets/app/key')).status === 200 ? true : undefined))
  await before.stop()
  const data = join(place.folder, 'data')
  for (const file of readdirSync(data)) if (file.startsWith('secrets.db')) rmSync(join(data, file))
  const after = await start(place)
  const row = await until('its refusal', async () => {
    const { secrets } = (await after.ask('GET', '/admin/v1/secrets/rotation/status')).body
    const [found] = secrets.filter((one: { name: string }) => one.name === 'app/key')
    return found.state === 'failed' ? found : undefined
  })
  expect(row.error).toMatchObject({ code: 'precondition_failed', detail: expect.stringContaining('holds nothing at app/key') })
  expect((await after.ask('GET', '/v1/secrets/app/key')).status).toBe(404)
  await after.stop()
})

test('a secret that was deleted has no older version to be read', async () => {
  const broker = await start(place)
  for (const value of ['one', 'two']) await broker.ask('PUT', '/v1/secrets/b', { body: { value } })
  expect((await broker.ask('GET', '/v1/secrets/b?stage=previous')).body.value).toBe('one')
  expect((await broker.ask('DELETE', '/v1/secrets/b')).status).toBe(204)
  for (const target of ['/v1/secrets/b', '/v1/secrets/b?stage=previous', '/v1/secrets/b?version=1']) {
    expect([target, (await broker.ask('GET', target)).status]).toEqual([target, 404])
  }
  await broker.stop()
})
