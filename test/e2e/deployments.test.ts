import { copyFileSync, cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readConfig } from '@keyturn/broker'
import { describeConfig } from '@keyturn/config'
import { afterAll, expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const scratch = mkdtempSync(join(tmpdir(), 'keyturn-deployments-'))
afterAll(() => rmSync(scratch, { recursive: true }))

/** Name, store, type, interval and grace, of every secret. */
async function rows(config: string, env: Record<string, string>) {
  const read = await readConfig({ config, cwd: scratch, env })
  return describeConfig(read).map(({ name, stores, type, every, grace, strategy }) =>
    [name, ...stores, type, every?.value, grace.value, strategy?.value].join(' '),
  )
}

const platform = [
  'anthropic-api-key STORE api-key 30d 7d external',
  'database-password STORE database 90d 24h external',
  'database-url STORE database 90d 24h external',
  'encryption-key STORE encryption-key 180d 30d key-set',
  'github-token STORE oauth 30d 24h external',
  'jwt-secret STORE jwt 180d 7d generated',
  'openai-api-key STORE api-key 30d 7d external',
  'session-secret STORE encryption-key 180d 30d generated',
  'slack-token STORE oauth 30d 24h external',
]

test('platform has the same secrets in production and in development; only the store is another', async () => {
  cpSync(join(root, 'configs/platform'), join(scratch, 'platform'), { recursive: true })
  copyFileSync(join(root, 'configs/platform/.env.example'), join(scratch, 'platform/.env'))
  const production = rows('platform/production.yaml', { GOOGLE_CLOUD_PROJECT: 'project', KEYTURN_ENV: 'production' })
  const development = rows('platform/development.yaml', { KEYTURN_ENV: 'development' })
  expect(await production).toEqual(platform.map(row => row.replace('STORE', 'gcp')))
  expect(await development).toEqual(platform.map(row => row.replace('STORE', 'dotenv')))
})

test('platform selects what its script names', async () => {
  const { rotation, secrets } = await readConfig({
    config: 'configs/platform/production.yaml',
    cwd: root,
    env: { GOOGLE_CLOUD_PROJECT: 'p' },
  })
  const members = (group: string) => {
    const { types = [], labels = {} } = rotation.groups.get(group) ?? {}
    const isLabelled = (given: Readonly<Record<string, string>>) => Object.entries(labels).some(([key, value]) => given[key] === value)
    return [...secrets.values()]
      .filter(secret => types.some(type => type === secret.type) || isLabelled(secret.labels))
      .map(({ name }) => name)
  }
  expect(members('database')).toEqual(['database-password', 'database-url'])
  expect(members('api-keys')).toEqual(['anthropic-api-key', 'github-token', 'openai-api-key'])
  expect(members('symmetric')).toEqual(['encryption-key', 'jwt-secret', 'session-secret'])
})

test('llm-orchestrator keeps its Secrets under their standard names', async () => {
  const config = await readConfig({ config: 'configs/llm-orchestrator/keyturn.yaml', cwd: root, env: {} })
  const places = [...config.secrets.values()].map(({ name, places: [place] }) => `${name} ${place?.path} ${place?.fields}`)
  expect(places).toEqual([
    'orchestrator/anthropic-api-key llm-orchestrator/orchestrator-api-keys anthropic-api-key',
    'orchestrator/db llm-orchestrator/orchestrator-db-secret username,password',
    'orchestrator/jwt llm-orchestrator/orchestrator-jwt-secret secret',
    'orchestrator/openai-api-key llm-orchestrator/orchestrator-api-keys openai-api-key',
  ])
  const figures = describeConfig(config).map(({ type, every, grace, strategy }) =>
    [type, every?.value, grace.value, strategy?.value].join(' '),
  )
  expect(figures).toEqual(['api-key 180d 7d external', 'database 90d 24h external', 'jwt 90d 7d generated', 'api-key 180d 7d external'])
})
