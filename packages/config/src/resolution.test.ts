import type { SecretName } from '@keyturn/core'
import { describe, expect, test } from 'vitest'
import { load } from '../test/files.ts'
import type { Config } from './config.ts'
import type { LoadOptions } from './load.ts'

const secretOf = (config: Config, name: string) => {
  const secret = config.find(name as SecretName)
  if (secret === undefined) throw new Error(`no store takes ${name}`)
  return secret
}
const figure = async (text: string, env = {}) => {
  const { every, grace } = secretOf(await load(`database: {}\n${text}`, { env }), 'k')
  return [every?.ms, every?.source, grace.ms, grace.source]
}
const hourMs = 3_600_000
const dayMs = 24 * hourMs

describe('where a figure comes from', () => {
  const types = 'rotation: { every: 60d, grace: 2d, types: { service-token: { every: 20d, grace: 1h } } }\n'

  test('the row stands above all', async () => {
    const text = `secrets: { k: { type: service-token, every: 5d, grace: 30m } }\n${types}`
    expect(await figure(text)).toEqual([5 * dayMs, 'row', hourMs / 2, 'row'])
  })

  test('then its type, each figure by itself', async () => {
    expect(await figure(`secrets: { k: { type: service-token, every: 5d } }\n${types}`)).toEqual([
      5 * dayMs,
      'row',
      hourMs,
      'rotation.types.service-token',
    ])
  })

  test('then rotation itself', async () => {
    expect(await figure(`secrets: { k: { type: jwt } }\n${types}`, { SECRET_ROTATION_INTERVAL_DAYS: '7' })).toEqual([
      60 * dayMs,
      'rotation',
      2 * dayMs,
      'rotation',
    ])
  })

  test('then the variable, and for the grace a day', async () => {
    const text = 'secrets: { k: { type: service-token } }\n'
    expect(await figure(text, { SECRET_ROTATION_INTERVAL_DAYS: '7' })).toEqual([
      7 * dayMs,
      'SECRET_ROTATION_INTERVAL_DAYS',
      dayMs,
      'default',
    ])
    expect(await figure(text)).toEqual([30 * dayMs, 'default', dayMs, 'default'])
    expect(await figure(text, { SECRET_ROTATION_INTERVAL_DAYS: '' })).toEqual([30 * dayMs, 'default', dayMs, 'default'])
  })

  test('with the place where it stands', async () => {
    const config = await load('database: {}\nsecrets: { k: { type: jwt, grace: 1h } }\nrotation: { types: { jwt: { every: 7d } } }\n')
    expect(secretOf(config, 'k')).toMatchObject({ every: { at: { line: 3, column: 36 } }, grace: { at: { line: 2, column: 35 } } })
  })

  test('nothing is scheduled that has no row or is generic', async () => {
    const config = await load('database: {}\nsecrets: { k: { owner: me } }\nrotation: { every: 1d, grace: 1h }\n')
    expect(secretOf(config, 'k')).toMatchObject({ type: 'generic', every: null, strategy: null, row: true })
    expect(secretOf(config, 'unnamed')).toMatchObject({ type: 'generic', every: null, strategy: null, row: false })
  })
})

describe('the strategy', () => {
  const strategyOf = async (row: string, more: Partial<LoadOptions> = {}) => {
    const config = await load(`database: {}\nissuers: { i: { kind: postgres } }\nsecrets: { k: ${row} }\n`, more)
    const { strategy, strategySource, built } = secretOf(config, 'k')
    return [strategy, strategySource, built]
  }

  test.each([
    ['{ type: service-token }', 'generated'],
    ['{ type: jwt }', 'key-set'],
    ['{ type: encryption-key }', 'key-set'],
    ['{ type: database }', 'external'],
    ['{ type: database, issuer: i }', 'alternating-users'],
    ['{ type: api-key }', 'external'],
    ['{ type: api-key, issuer: i }', 'api-key-pair'],
    ['{ type: oauth }', 'external'],
    ['{ type: oauth, issuer: i }', 'api-key-pair'],
    ['{ type: tls }', 'external'],
    ['{ type: tls, issuer: i }', 'tls'],
    ['{}', null],
  ])('of %s is %s', async (row, strategy) => expect((await strategyOf(row)).slice(0, 2)).toEqual([strategy, 'default']))

  test('of the row stands above the default', async () => {
    expect(await strategyOf('{ type: api-key, strategy: generated }')).toEqual(['generated', 'row', true])
  })

  test('is built where this build has it and its issuer', async () => {
    expect(await strategyOf('{ type: jwt }')).toEqual(['key-set', 'default', false])
    expect(await strategyOf('{ type: jwt }', { strategies: ['key-set'] })).toEqual(['key-set', 'default', true])
    expect(await strategyOf('{ type: database, issuer: i }', { strategies: ['alternating-users'] })).toEqual([
      'alternating-users',
      'default',
      false,
    ])
  })

  test('single-user keeps the grace that nobody promised at none', async () => {
    const row = '{ type: database, issuer: i, strategy: single-user, windows: [{ allow: "0 2 * * *", for: 1h }] }'
    const config = await load(`database: {}\nissuers: { i: { kind: postgres } }\nsecrets: { k: ${row} }\n`)
    expect(secretOf(config, 'k')).toMatchObject({ grace: { ms: 0, source: 'strategy' }, cacheMs: 0 })
  })
})

describe('who takes a name', () => {
  const text = `
vault:
  address: http://127.0.0.1:8200
  secrets:
    - { path: secret/data/team/named, name: team/a/named }
    - { under: secret/data/team/, name: team/ }
    - { under: secret/data/a/, name: team/a/ }
    - { under: secret/data/free/ }
database: {}
`
  test.each([
    ['team/a/named', 'vault', 'secret/data/team/named'],
    ['team/a/other', 'vault', 'secret/data/a/other'],
    ['team/b/other', 'vault', 'secret/data/team/b/other'],
    ['free/x', 'vault', 'secret/data/free/x'],
    ['team', 'database', 'team'],
    ['elsewhere/x', 'database', 'elsewhere/x'],
  ])('%s: %s at %s', async (name, store, path) => {
    expect(secretOf(await load(text), name).places).toMatchObject([{ store, path }])
  })

  test('nobody, where nothing covers it', async () => {
    const config = await load(text.replace('database: {}\n', ''))
    expect(config.find('elsewhere/x' as SecretName)).toBeUndefined()
  })

  test('several stores in the order of from', async () => {
    const section = (port: number) => `{ kind: vault, address: http://127.0.0.1:${port}, secrets: [{ path: s/data/k }] }`
    const config = await load(`a: ${section(1)}\nb: ${section(2)}\nsecrets: { k: { type: service-token, from: [b, a] } }\n`)
    expect(secretOf(config, 'k').places.map(place => place.store)).toEqual(['b', 'a'])
  })

  test('two entries of one path are two fields of one secret', async () => {
    const entries = '[{ path: s/data/db, key: username }, { path: s/data/db, key: password }]'
    const config = await load(
      `vault: { address: http://a, secrets: ${entries} }\nsecrets: { db: { type: service-token, renew: [password] } }\n`,
    )
    expect(secretOf(config, 'db')).toMatchObject({ places: [{ fields: ['username', 'password'] }], renew: ['password'] })
  })

  test('two names of two fields of one path are two secrets', async () => {
    const entries = '[{ path: s/data/keys, key: openai, name: openai }, { path: s/data/keys, key: anthropic, name: anthropic }]'
    const config = await load(`vault: { address: http://a, secrets: ${entries} }\n`)
    expect(secretOf(config, 'openai').places).toMatchObject([{ path: 's/data/keys', fields: ['openai'] }])
    expect(secretOf(config, 'anthropic')).toMatchObject({ places: [{ path: 's/data/keys', fields: ['anthropic'] }], renew: ['anthropic'] })
  })

  test('every variable of a .env file without a list', async () => {
    const files = { 'keyturn.yaml': 'dotenv: { file: sub/app.env, names: kebab }\n', 'sub/app.env': 'DATABASE_URL=1\nTOKEN=2\n' }
    const config = await load(files)
    expect([...config.secrets.keys()]).toEqual(['database-url', 'token'])
    expect(secretOf(config, 'token').places).toMatchObject([{ path: 'TOKEN', fields: null, format: 'text' }])
    expect((await load('dotenv: { file: absent.env }\n')).secrets.size).toBe(0)
  })
})

describe('the broker', () => {
  test('has defaults beside the file', async () => {
    const config = await load({ 'keyturn.yaml': 'database: {}\n' })
    expect(config.broker).toMatchObject({ listen: { host: '127.0.0.1', port: 8320 }, data: '/srv/app/.keyturn', ledger: null })
    expect(config.audit.file).toBe('/srv/app/.keyturn/audit.jsonl')
  })

  test('keeps its bundles beside its data for 30 days, and takes one before whatever touches many', async () => {
    const plain = await load({ 'keyturn.yaml': 'database: {}\n' })
    const before = ['rewrap', 'reencrypt', 'rotate']
    expect(plain.broker.backups).toEqual({ folder: '/srv/app/.keyturn/backups', keepMs: 30 * 86_400_000, before })
    const own = await load({ 'keyturn.yaml': 'broker: { backups: { folder: ../vault, keep: 7d, before: [] } }\ndatabase: {}\n' })
    expect(own.broker.backups).toEqual({ folder: '/srv/vault', keepMs: 7 * 86_400_000, before: [] })
  })

  test('is moved by KEYTURN_LISTEN and KEYTURN_DATA, whatever the file says', async () => {
    const env = { KEYTURN_LISTEN: '[::1]:0', KEYTURN_DATA: 'elsewhere' }
    const { broker } = await load('broker: { listen: 127.0.0.1:1, data: here }\n', { env })
    expect(broker).toMatchObject({ listen: { host: '::1', port: 0 }, data: '/srv/app/elsewhere' })
  })

  test('has paths that start from the file they stand in', async () => {
    const files = {
      'keyturn.yaml': 'include: [sub/more.yaml]\n',
      'sub/more.yaml': 'broker: { data: here }\naudit: { file: ../audit.jsonl }\n',
    }
    const config = await load(files)
    expect([config.broker.data, config.audit.file]).toEqual(['/srv/app/sub/here', '/srv/app/audit.jsonl'])
  })

  test('in production takes what allow names', async () => {
    const allow = 'broker: { listen: "0.0.0.0:80", allow: [dotenv, plaintext-admin] }\n'
    const config = await load({ 'keyturn.yaml': `environment: production\n${allow}dotenv: { file: a.env }\n` })
    expect(config.warnings).toMatchObject([{ path: 'broker.keys' }, { path: 'dotenv', message: expect.stringContaining('not there yet') }])
    expect((await load('database: {}\n', { env: { KEYTURN_ENV: 'production' } })).environment).toBe('production')
  })

  test('honours the figures of the environment', async () => {
    const env = { ROTATION_WORKER_SLEEP_SEC: '60', KEK_ROTATION_THRESHOLD_DAYS: '30' }
    expect((await load('database: {}\n', { env })).rotation).toMatchObject({ scanMs: 60_000, kekThresholdMs: 30 * dayMs })
    expect((await load('database: {}\n')).rotation).toMatchObject({ scanMs: 3_600_000, kekThresholdMs: 90 * dayMs })
  })
})

test('a copy that takes longer than a grace is a warning', async () => {
  const copy = '{ to: kubernetes, namespace: n, secret: s, keys: { K: k }, every: 1h, wait: 10m }'
  const config = await load(`database: {}\nsecrets: { k: { type: service-token, every: 24h, grace: 30m } }\npublish: [${copy}]\n`)
  expect(config.warnings).toMatchObject([{ path: 'secrets.k', remedy: 'write grace: 1h12m40s or more, or publish more often' }])
})
