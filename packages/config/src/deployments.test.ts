import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { SecretName } from '@keyturn/core'
import { describe, expect, test } from 'vitest'
import { testKinds } from '../test/kinds.ts'
import { ConfigError } from './complaint.ts'
import { describeConfig } from './description.ts'
import type { Environment } from './interpolate.ts'
import { loadConfig } from './load.ts'

const cwd = join(import.meta.dirname, '../../..')
const reader = { read: (path: string) => readFileSync(path) }
const load = (file: string, env: Environment) => loadConfig(file, { env, cwd, kinds: testKinds, reader })
const vault = { VAULT_ADDR: 'http://127.0.0.1:8200' }

describe('configs/agentaskit', () => {
  test('shows three secrets with the type, the schedule and the grace of its table', async () => {
    const rows = describeConfig(await load('configs/agentaskit/keyturn.yaml', vault))
    expect(rows.map(({ name, type, every, grace, stores, owner }) => [name, type, every?.value, grace.value, stores, owner])).toEqual([
      ['agentaskit/api-keys', 'api-key', '90d', '7d', ['vault'], '@sec-oncall'],
      ['agentaskit/db-credentials', 'database', '30d', '24h', ['vault'], '@sec-oncall'],
      ['agentaskit/jwt-signing', 'jwt', '7d', '1h', ['vault'], '@sec-oncall'],
    ])
    expect(rows.map(row => row.every?.source)).toEqual(['rotation.types.api-key', 'rotation.types.database', 'rotation.types.jwt'])
    expect(rows.map(row => row.every?.at)).toEqual(
      [20, 21, 22].map(line => expect.stringMatching(`^configs/agentaskit/keyturn.yaml:${line}:\\d+$`)),
    )
  })

  test('has the whole table of five types', async () => {
    const text = readFileSync(join(cwd, 'configs/agentaskit/keyturn.yaml'), 'utf8')
    const table = [...text.matchAll(/^ {4}([a-z-]+): \{ every: (\w+), grace: (\w+) \}$/gm)].map(match => match.slice(1))
    expect(table).toEqual([
      ['api-key', '90d', '7d'],
      ['database', '30d', '24h'],
      ['jwt', '7d', '1h'],
      ['service-token', '24h', '30m'],
      ['encryption-key', '365d', '30d'],
    ])
  })

  test('makes no value for a target that nobody speaks to', async () => {
    const config = await load('configs/agentaskit/keyturn.yaml', vault)
    expect([...config.secrets.values()].map(secret => [secret.strategy, secret.makeAtStart])).toEqual([
      ['external', false],
      ['external', false],
      ['key-set', false],
    ])
  })

  test('lets each service read what its row of the table says, and no more', async () => {
    const { access, find } = await load('configs/agentaskit/keyturn.yaml', vault)
    const names = ['agentaskit/api-keys', 'agentaskit/db-credentials', 'agentaskit/jwt-signing'] as SecretName[]
    const allowed = (account: string) =>
      names.map(name => {
        const secret = find(name)
        const target = { name, ...(secret === undefined ? {} : { type: secret.type }) }
        return access.policy.decide({ id: `serviceAccount:agentaskit/${account}`, roles: [] }, 'read', target).allowed
      })
    expect(allowed('api-gateway')).toEqual([true, false, false])
    expect(allowed('workers')).toEqual([true, true, false])
    expect(allowed('orchestrator')).toEqual([true, true, true])
    expect(allowed('somebody')).toEqual([false, false, false])
  })

  test('keeps its audit file where its evidence is looked for', async () => {
    const config = await load('configs/agentaskit/keyturn.yaml', vault)
    expect(config.audit.file).toBe(join(cwd, 'configs/agentaskit/operational_audit/secrets/audit.jsonl'))
  })

  test('names the variable, the file, the line and the column without VAULT_ADDR', async () => {
    const refused = await load('configs/agentaskit/keyturn.yaml', {}).catch(error => error)
    expect(refused).toBeInstanceOf(ConfigError)
    expect(refused.message).toContain(
      'configs/agentaskit/secrets/vault.yaml:3:12: vault.address: the variable VAULT_ADDR is not set; set VAULT_ADDR',
    )
  })

  test('has the file of its store as it was handed over, byte for byte', () => {
    const bytes = readFileSync(join(cwd, 'configs/agentaskit/secrets/vault.yaml'))
    expect(createHash('sha256').update(bytes).digest('hex')).toBe('9c81adc402966d8a719972d831e56535d3c65234a4b99b8a009dc142ee626460')
  })

  test('has a file of its store that loads alone: readable, not scheduled', async () => {
    const rows = describeConfig(await load('configs/agentaskit/secrets/vault.yaml', vault))
    expect(rows.map(({ type, every, notes }) => [type, every, notes])).toEqual(
      Array.from({ length: 3 }, () => ['generic', null, ['untyped: readable, not scheduled']]),
    )
  })
})

describe('configs/quickstart', () => {
  test('loads with nothing set: placeholders from a file, and rows that are made at start', async () => {
    const config = await load('configs/quickstart/keyturn.yaml', {})
    expect(config.warnings).toEqual([])
    const rows = [...config.secrets.values()].map(secret => [secret.name, secret.places[0]?.store, secret.makeAtStart, secret.built])
    expect(rows).toEqual([
      ['database-url', 'dotenv', false, true],
      ['demo/moving', 'database', true, true],
      ['demo/webhook-secret', 'database', true, true],
      ['demo/worker-token', 'database', true, true],
      ['payment-api-key', 'dotenv', false, true],
      ['smtp-password', 'dotenv', false, true],
    ])
    expect(config.secrets.get('demo/moving' as SecretName)).toMatchObject({
      every: { ms: 60_000 },
      grace: { ms: 30_000 },
      strategy: 'generated',
    })
  })

  test('has nothing but placeholders in its tracked file', () => {
    const values = readFileSync(join(cwd, 'configs/quickstart/demo.env'), 'utf8')
      .split('\n')
      .filter(line => line.includes('='))
    expect(values).toHaveLength(3)
    for (const line of values) expect(line).toContain('placeholder')
  })
})

describe('configs/talos', () => {
  const talos = (env: Environment = {}) => load('configs/talos/keyturn.yaml', env)

  test('is embedded with nothing set: 30 days, 24 hours of grace, a scan an hour, a KEK that is due after 90 days', async () => {
    const config = await talos()
    expect(config.warnings).toEqual([])
    expect(config.broker).toMatchObject({ ledger: null, keys: { provider: 'env', prefix: 'TALOS' } })
    expect(config.rotation).toMatchObject({ scanMs: 3_600_000, kekThresholdMs: 90 * 24 * 3_600_000 })
    // without a URL it is none
    expect(config.audit.sinks).toEqual([{ kind: 'webhook', url: '' }])
    const rows = describeConfig(config)
    expect(rows.map(({ name, type, every, grace, stores, owner }) => [name, type, every?.value, grace.value, stores, owner])).toEqual([
      ['gateway/session-key', 'service-token', '30d', '24h', ['database'], '@gateway-oncall'],
      ['upstream/anthropic', 'api-key', '30d', '24h', ['database'], '@gateway-oncall'],
      ['upstream/openai', 'api-key', '30d', '24h', ['database'], '@gateway-oncall'],
    ])
    expect(rows.map(({ every, grace }) => [every?.source, grace.source])).toEqual(Array.from({ length: 3 }, () => ['rotation', 'rotation']))
    expect([...config.secrets.values()].map(({ strategy, makeAtStart }) => [strategy, makeAtStart])).toEqual([
      ['generated', true],
      ['external', false],
      ['external', false],
    ])
  })

  test('has its ledger and its store in the database of DATABASE_URL, and its figures from its variables', async () => {
    const config = await talos({
      DATABASE_URL: 'postgres://u:p@db.example/talos',
      SECRET_ROTATION_INTERVAL_DAYS: '7',
      ROTATION_WORKER_SLEEP_SEC: '60',
      KEK_ROTATION_THRESHOLD_DAYS: '30',
      TALOS_AUDIT_URL: 'https://audit.example/records',
    })
    expect(config.broker.ledger).toBe('postgres://u:p@db.example/talos')
    expect(config.rotation).toMatchObject({ scanMs: 60_000, kekThresholdMs: 30 * 24 * 3_600_000 })
    expect(config.audit.sinks).toMatchObject([{ kind: 'webhook', url: 'https://audit.example/records' }])
    expect(describeConfig(config).map(({ every }) => every?.value)).toEqual(['7d', '7d', '7d'])
  })

  test.each(['0', '-1', 'x'])('refuses SECRET_ROTATION_INTERVAL_DAYS=%s by name', async days => {
    const refused = await talos({ SECRET_ROTATION_INTERVAL_DAYS: days }).catch(error => error)
    expect(refused).toBeInstanceOf(ConfigError)
    expect(refused.message).toContain('SECRET_ROTATION_INTERVAL_DAYS')
  })

  test('lets the gateway read, an operator rotate and write upstream credentials, and nobody but admin touch keys', async () => {
    const { access } = await talos()
    const may = (role: string, action: 'read' | 'rotate' | 'write' | 'admin', name: string) =>
      access.policy.decide({ id: role, roles: [role] }, action, { name: name as SecretName }).allowed
    expect([may('gateway', 'read', 'upstream/openai'), may('gateway', 'rotate', 'gateway/session-key')]).toEqual([true, false])
    expect([may('operator', 'rotate', 'gateway/session-key'), may('operator', 'write', 'upstream/openai')]).toEqual([true, true])
    expect([may('operator', 'read', 'upstream/openai'), may('operator', 'admin', 'upstream/openai')]).toEqual([false, false])
  })
})
