import { SecretValue } from '@keyturn/core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { SmallBroker } from '../test/small-broker.ts'
import { BrokerSecrets, KeyturnClient, type Secrets } from './index.ts'

let broker: SmallBroker
let secrets: Secrets

beforeAll(async () => {
  broker = await SmallBroker.start({
    'database-password': SecretValue.text('first'),
    'one-field': SecretValue.fields({ password: 'p' }),
    'two-fields': SecretValue.fields({ username: 'u', password: 'p' }),
    binary: SecretValue.bytes(Buffer.from([0, 255])),
    'fails/x': SecretValue.text('1'),
    'waits/x': SecretValue.text('1'),
  })
  secrets = new BrokerSecrets(new KeyturnClient({ address: broker.address, token: broker.token }))
})
afterAll(() => broker.stop())

it('makes a secret once, with its type', async () => {
  expect(await secrets.createSecret({ name: 'made', type: 'database', value: 'v' })).toBe('1')
  expect(broker.secrets.get('made')?.type).toBe('database')
  await expect(secrets.createSecret({ name: 'made', type: 'database', value: 'v' })).rejects.toMatchObject({ code: 'conflict' })
})

it('gets the text of a secret, or of one of its fields', async () => {
  expect(await secrets.getSecret('database-password')).toBe('first')
  expect(await secrets.getSecret('one-field')).toBe('p')
  expect(await secrets.getSecret('two-fields', { field: 'username' })).toBe('u')
  await expect(secrets.getSecret('two-fields')).rejects.toMatchObject({
    code: 'invalid_argument',
    hint: 'name one of them: username, password',
  })
  await expect(secrets.getSecret('binary')).rejects.toMatchObject({ code: 'invalid_argument' })
  await expect(secrets.getSecret('nobody')).rejects.toMatchObject({ code: 'not_found' })
})

it('rotates, and answers the version that is served now', async () => {
  const version = await secrets.rotateSecret('database-password', { pollMs: 1 })
  expect(version).toMatch(/./)
  for (const [name, code] of [
    ['fails/x', 'internal'],
    ['waits/x', 'precondition_failed'],
  ] as const) {
    const error = await secrets.rotateSecret(name, { pollMs: 1 }).catch((cause: unknown) => cause)
    expect(error).toMatchObject({ code, message: expect.stringContaining('operation '), detail: { operation: expect.any(String) } })
  }
})
