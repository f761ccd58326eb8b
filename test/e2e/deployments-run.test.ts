import { copyFileSync, cpSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { BrokerSecrets, KeyturnClient, type Secrets } from '@keyturn/client'
import { LocalSecrets } from '@keyturn/client/local'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { GcpSecretManagerFake } from '../fakes/gcp-secret-manager.ts'
import { KubernetesFake } from '../fakes/kubernetes.ts'
import { Place, until } from './harness.ts'
import { Served } from './served.ts'

const root = join(import.meta.dirname, '../..')
const script = 'configs/platform/scripts/rotate-secrets.sh'
const names = [
  'anthropic-api-key',
  'database-password',
  'database-url',
  'encryption-key',
  'github-token',
  'jwt-secret',
  'openai-api-key',
  'session-secret',
  'slack-token',
] as const
const variableOf = (name: string) => name.toUpperCase().replaceAll('-', '_')
/** What an operator put into the store. */
const first = Object.fromEntries(names.map(name => [name, `canary-of-${name}`]))

let place: Place
let broker: Served | undefined
beforeEach(() => {
  place = new Place()
})
afterEach(async () => {
  await broker?.stop()
  broker = undefined
  place.remove()
})

/** Every file below a folder of the place, read. */
function contents(folder: string): string {
  const files = readdirSync(join(place.folder, folder), { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
  return files.map(({ parentPath, name }) => readFileSync(join(parentPath, name), 'latin1')).join('\n')
}

/** A backend of the deployment, without Keyturn. */
interface Backend {
  readonly env: Record<string, string>
  has(name: string): string
  close(): Promise<void>
}

const backends: Record<string, () => Promise<Backend>> = {
  async development() {
    place.write('run/development.yaml', 'include: [../platform/development.yaml]\n')
    place.write('platform/.env', names.map(name => `${variableOf(name)}=${first[name]}\n`).join(''))
    return {
      env: { KEYTURN_ENV: 'development' },
      has: name => parseEnv(place.read('platform/.env'))[variableOf(name)] ?? '',
      close: async () => undefined,
    }
  },
  async production() {
    const fake = await GcpSecretManagerFake.start()
    const secrets = fake.secrets('projects/shop')
    for (const name of names) secrets.put(name, String(first[name]))
    place.write('run/production.yaml', `include: [../platform/production.yaml]\ngcp: { endpoint: "${fake.endpoint}" }\n`)
    return {
      env: { KEYTURN_ENV: 'production', GOOGLE_CLOUD_PROJECT: 'shop' },
      has(name) {
        const { payload } = secrets.access(name, 'latest') as { payload: { data: Uint8Array } }
        return Buffer.from(payload.data).toString()
      },
      async close() {
        await fake.close()
        expect(fake.broken).toEqual([])
      },
    }
  },
}

/** A service of the platform: it knows names, and nothing of where they are kept. */
async function service(secrets: Secrets): Promise<Record<string, string>> {
  return Object.fromEntries(await Promise.all(names.map(async name => [name, await secrets.getSecret(name)])))
}

const servicesTokens = (served: Served, tokenFile: string) => new BrokerSecrets(new KeyturnClient({ address: served.address, tokenFile }))

describe.each(Object.keys(backends))('platform in %s', environment => {
  let backend: Backend
  let running: Served
  beforeEach(async () => {
    cpSync(join(root, 'configs/platform'), join(place.folder, 'platform'), { recursive: true })
    backend = await (backends[environment] as () => Promise<Backend>)() // a key of `backends`
    // the same line in both; only the environment is another
    running = broker = await Served.start(place, 'run', backend.env)
  })
  afterEach(() => backend.close())

  test('a service reads what is in the store, is told of a write, and may change nothing', async () => {
    const tokenFile = await running.tokenFile('service')
    const secrets = servicesTokens(running, tokenFile)
    expect(await service(secrets)).toEqual(first)
    const written = await running.ask('PUT', '/v1/secrets/openai-api-key', { body: { value: 'canary-written' } })
    expect(written.status).toBe(200)
    expect(backend.has('openai-api-key')).toBe('canary-written')
    expect(await service(secrets)).toEqual({ ...first, 'openai-api-key': 'canary-written' })
    await expect(secrets.rotateSecret('jwt-secret')).rejects.toMatchObject({ code: 'permission_denied' })
    await expect(secrets.createSecret({ name: 'another', type: 'jwt', value: 'x' })).rejects.toMatchObject({ code: 'permission_denied' })
    expect(backend.has('jwt-secret')).toBe(first['jwt-secret'])
  })

  test('the script rotates what is made here, with grace, and says what it cannot', async () => {
    const secrets = servicesTokens(running, await running.tokenFile('service'))
    const operator = await running.tokenFile('operator')
    const keyturn = (...words: string[]) => running.run(script, words, operator)
    for (const wrong of [[], ['symetric'], ['--yes']]) expect(await keyturn(...wrong)).toMatchObject({ code: 2, out: '' })
    const planned = await keyturn('all', '--plan')
    expect(planned.out.split('\n').map(line => line.split('\t').filter((_, at) => at === 0 || at === 3))).toEqual([
      ['jwt-secret', 'rotate'],
      ['session-secret', 'rotate'],
      [''],
    ])
    const rotated = await keyturn('symmetric', '--wait')
    expect(rotated.out).toMatch(/^encryption-key\tnot started\t.*key-set is not built\njwt-secret\tgrace\t.*\nsession-secret\tgrace\t/)
    // one of the three is left as it was, and that is said to whoever waits
    expect(rotated.code).toBe(1)
    for (const name of ['jwt-secret', 'session-secret']) {
      const now = await secrets.getSecret(name)
      expect(now).not.toBe(first[name])
      expect(now).toBe(backend.has(name))
      expect(await secrets.getSecret(name, { stage: 'previous' })).toBe(first[name])
    }
    const others = names.filter(name => name !== 'jwt-secret' && name !== 'session-secret')
    // nobody is told that a vendor's key was rotated when it was not
    for (const group of ['api-keys', 'database']) {
      const refused = await keyturn(group)
      expect(refused).toMatchObject({ code: 1, out: '' })
      expect(refused.err).toContain('strategy external is not built')
      expect(refused.err).toContain('nothing was started')
    }
    expect(others.map(backend.has)).toEqual(others.map(name => first[name]))
    const told = `${planned.out}${rotated.out}${rotated.err}${running.output}${contents('data')}`
    expect([...names.map(backend.has), 'canary'].filter(value => told.includes(value))).toEqual([])
    expect(await running.stop()).toBe(0)
  })
})

test('without a broker the same service reads the same .env file', async () => {
  copyFileSync(join(root, 'configs/platform/.env.example'), join(place.folder, '.env'))
  const all = await service(new LocalSecrets({ file: join(place.folder, '.env'), env: {} }))
  const { DATABASE_URL: url, ...rest } = parseEnv(place.read('.env'))
  expect(all).toEqual({ ...Object.fromEntries(names.map(name => [name, 'placeholder'])), 'database-url': url })
  expect(Object.keys(rest)).toHaveLength(names.length - 1)
})

describe('llm-orchestrator, with a kubeconfig', () => {
  const namespace = 'llm-orchestrator'
  const standard = ['orchestrator-jwt-secret', 'orchestrator-db-secret', 'orchestrator-api-keys']
  let cluster: KubernetesFake
  const has = (name: string) => {
    const { data = {} } = cluster.secrets.get(namespace, name)
    return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]))
  }
  beforeEach(async () => {
    cluster = await KubernetesFake.start()
    cluster.secrets.namespaces.add(namespace)
    cluster.secrets.put(namespace, 'orchestrator-db-secret', { username: 'orchestrator', password: 'canary-db', host: 'db.example' })
    cluster.secrets.put(namespace, 'orchestrator-api-keys', { 'openai-api-key': 'canary-openai', 'anthropic-api-key': 'canary-anthropic' })
    cpSync(join(root, 'configs/llm-orchestrator'), join(place.folder, 'llm-orchestrator'), { recursive: true })
    // the least that the README of the adapter asks for
    const token = cluster.access.token({
      rules: [
        { verbs: ['get', 'update'], namespace, names: standard },
        { verbs: ['create'], namespace },
      ],
    })
    const kubeconfig = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'it',
      contexts: [{ name: 'it', context: { cluster: 'it', user: 'it' } }],
      clusters: [
        { name: 'it', cluster: { server: cluster.url, 'certificate-authority-data': Buffer.from(cluster.ca).toString('base64') } },
      ],
      users: [{ name: 'it', user: { token } }],
    }
    const KUBECONFIG = place.write('kubeconfig', JSON.stringify(kubeconfig))
    broker = await Served.start(place, 'llm-orchestrator', { KUBECONFIG })
  })
  afterEach(async () => {
    await cluster.close()
    expect(cluster.broken).toEqual([])
  })

  test('its Secrets keep their names: one is made at the start, a rotation has grace, a write keeps its neighbours', async () => {
    const running = broker as Served // started above
    await until('the first key', () => ('secret' in tryHas('orchestrator-jwt-secret') ? true : undefined))
    const orchestrator = servicesTokens(running, await running.tokenFile('orchestrator'))
    const before = await orchestrator.getSecret('orchestrator/jwt')
    expect(Buffer.from(before, 'base64')).toHaveLength(64)
    expect(has('orchestrator-jwt-secret')).toEqual({ secret: before })
    expect(await orchestrator.getSecret('orchestrator/db', { field: 'password' })).toBe('canary-db')
    await expect(orchestrator.getSecret('orchestrator/db', { field: 'host' })).rejects.toMatchObject({ code: 'not_found' })
    expect(await orchestrator.getSecret('orchestrator/openai-api-key')).toBe('canary-openai')

    const set = ['set', 'orchestrator/openai-api-key', '--field', 'openai-api-key']
    const written = await running.run('node_modules/.bin/keyturn', set, running.adminFile, 'canary-next')
    expect(written.code, written.err).toBe(0)
    expect(has('orchestrator-api-keys')).toEqual({ 'openai-api-key': 'canary-next', 'anthropic-api-key': 'canary-anthropic' })

    const oncall = await running.tokenFile('oncall')
    const keyturn = (...words: string[]) => running.run('node_modules/.bin/keyturn', words, oncall)
    const rotated = await keyturn('rotate', 'orchestrator/jwt', '--wait')
    expect([rotated.code, rotated.out.split('\t').slice(0, 2)], rotated.err).toEqual([0, ['orchestrator/jwt', 'grace']])
    const after = await orchestrator.getSecret('orchestrator/jwt')
    expect(after).not.toBe(before)
    expect(has('orchestrator-jwt-secret')).toEqual({ secret: after })
    expect(await orchestrator.getSecret('orchestrator/jwt', { stage: 'previous' })).toBe(before)

    const vendors = await keyturn('rotate', '--group', 'vendors')
    expect(vendors).toMatchObject({ code: 1, out: '' })
    const leaked = await keyturn('rotate', 'orchestrator/openai-api-key', '--compromise', '--reason', 'found in a log')
    expect(leaked).toMatchObject({ code: 1, out: '', err: expect.stringContaining('strategy external is not built') })
    expect(has('orchestrator-db-secret')).toEqual({ username: 'orchestrator', password: 'canary-db', host: 'db.example' })
    const told = `${rotated.out}${rotated.err}${vendors.err}${leaked.err}${running.output}${contents('data')}`
    expect(['canary', before, after].filter(value => told.includes(value))).toEqual([])
    expect(await running.stop()).toBe(0)
  })

  function tryHas(name: string): Record<string, string> {
    try {
      return has(name)
    } catch {
      return {}
    }
  }
})
