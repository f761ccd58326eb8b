import { cpSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TokenReviewFake } from '../fakes/token-review.ts'
import { VaultFake } from '../fakes/vault.ts'
import { Place, type Running, start, until } from './harness.ts'

const deployment = join(import.meta.dirname, '../../configs/agentaskit')
const rules = [{ path: 'secret/data/agentaskit/*', capabilities: ['read'] }] as const

let vault: VaultFake
let reviews: TokenReviewFake

beforeAll(async () => {
  vault = await VaultFake.start()
  reviews = await TokenReviewFake.start()
  vault.auth.reviewUrl = reviews.url
  const kv = vault.mount('secret', 2)
  kv.put('agentaskit/api-keys', { api_key: 'marker-api', neighbour: 'marker-neighbour' })
  kv.put('agentaskit/db-credentials', { db_password: 'marker-db' })
  kv.put('agentaskit/jwt-signing', { jwt_secret: 'marker-jwt' })
  vault.auth.kubernetesRoles.set('agentaskit-production', {
    namespace: 'agentaskit',
    account: 'keyturn',
    rules: [...rules],
    ttlMs: 3_600_000,
  })
  vault.auth.appRoles.set('keyturn', { roleId: 'the-role', secretId: 'the-secret', rules: [...rules], ttlMs: 3_600_000 })
})
afterAll(async () => {
  await vault?.close()
  await reviews?.close()
})

/** The deployment as it stands in `configs`, in a folder of its own because it writes beside itself. */
function agentaskit(place: Place): void {
  cpSync(deployment, place.folder, { recursive: true })
}

describe('the agentaskit deployment, logged in by Kubernetes', () => {
  const place = new Place()
  let broker: Running
  const auditLines = () =>
    readFileSync(join(place.folder, 'operational_audit/secrets/audit.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))

  beforeAll(async () => {
    agentaskit(place)
    const tokenFile = place.write('service-account.token', reviews.mint('agentaskit', 'keyturn'))
    broker = await start(place, { VAULT_ADDR: vault.url, KEYTURN_SERVICE_ACCOUNT_TOKEN_FILE: tokenFile })
  })
  afterAll(async () => {
    await broker?.stop()
    place.remove()
  })

  test('a role with the type reads the field that the config names, and no neighbour; it is on the disk before the answer', async () => {
    const token = await broker.tokenOf('api-gateway-role', 'gateway')
    const answer = await broker.ask('GET', '/v1/secrets/agentaskit/api-keys', { token })
    const line = auditLines().at(-1)
    expect(answer.status).toBe(200)
    expect(answer.body).toMatchObject({ type: 'api-key', fields: { api_key: 'marker-api' }, version: '1' })
    expect(answer.text).not.toContain('neighbour')
    expect(line).toMatchObject({
      principal: 'token:gateway',
      action: 'read',
      secret: 'agentaskit/api-keys',
      version: '1',
      outcome: 'allowed',
    })
    const one = await broker.ask('GET', '/v1/secrets/agentaskit/api-keys?field=api_key', { token, headers: { accept: 'text/plain' } })
    expect(one.text).toBe('marker-api')
    expect(auditLines().at(-1)).toMatchObject({ field: 'api_key', outcome: 'allowed' })
  })

  test('a role without the type is refused whether or not the name exists', async () => {
    const token = await broker.tokenOf('api-gateway-role')
    const there = await broker.ask('GET', '/v1/secrets/agentaskit/db-credentials', { token })
    expect(auditLines().at(-1)).toMatchObject({ secret: 'agentaskit/db-credentials', outcome: 'denied', code: 'permission_denied' })
    const absent = await broker.ask('GET', '/v1/secrets/agentaskit/no-such', { token })
    expect(auditLines().at(-1)).toMatchObject({ secret: 'agentaskit/no-such', outcome: 'denied', code: 'permission_denied' })
    expect([there.status, absent.status]).toEqual([403, 403])
  })

  test('a role whose rule names the secrets is told that one is absent', async () => {
    const token = await broker.tokenOf('orchestrator-role')
    expect((await broker.ask('GET', '/v1/secrets/agentaskit/jwt-signing', { token })).status).toBe(200)
    expect((await broker.ask('GET', '/v1/secrets/agentaskit/no-such', { token })).status).toBe(404)
    expect(auditLines().at(-1)).toMatchObject({ secret: 'agentaskit/no-such', outcome: 'failed', code: 'not_found' })
  })

  test("a person's task and a strategy that is not built are never touched", async () => {
    const before = vault.seen.length
    const refused = await broker.ask('POST', '/admin/v1/secrets/rotate/agentaskit%2Fjwt-signing')
    expect(refused.status).toBe(501)
    expect(vault.seen.slice(before)).toEqual([])
    const status = await broker.ask('GET', '/admin/v1/secrets/rotation/status')
    expect(status.body.secrets.map((row: { state: string }) => row.state)).toEqual(['unscheduled', 'unscheduled', 'unscheduled'])
  })

  test("the store's own refusal is ours, not the caller's", async () => {
    vault.turn(/^GET \/v1\/secret\/data\/agentaskit\/db-credentials/, { do: 'fail', status: 403, errors: ['permission denied'] })
    const answer = await broker.ask('GET', '/v1/secrets/agentaskit/db-credentials')
    vault.turnBack()
    expect([answer.status, answer.body.code]).toEqual([502, 'permission_denied'])
    expect(answer.headers.get('www-authenticate')).toBeNull()
    expect(auditLines().at(-1)).toMatchObject({ outcome: 'failed', code: 'permission_denied' })
    const ready = await broker.ask('GET', '/readyz', { token: null })
    expect([ready.status, ready.body.stores.vault]).toEqual([200, 'unavailable'])
  })
})

describe('logged in by AppRole', () => {
  const place = new Place()
  let broker: Running

  beforeAll(async () => {
    const config = [
      'vault:',
      `  address: ${vault.url}`,
      `  auth: { method: approle, roleId: the-role, secretId: "\${APP_SECRET_ID}" }`,
      '  secrets: [{ path: secret/data/agentaskit/api-keys, key: api_key }]',
    ]
    place.write('keyturn.yaml', `${config.join('\n')}\n`)
    broker = await start(place, { APP_SECRET_ID: 'the-secret' })
  })
  afterAll(async () => {
    await broker?.stop()
    place.remove()
  })

  test('the same secret is served', async () => {
    expect((await broker.ask('GET', '/v1/secrets/agentaskit/api-keys?field=api_key')).body.value).toBe('marker-api')
  })
})

describe('one key of a shared path', () => {
  const place = new Place()
  let broker: Running

  beforeAll(async () => {
    vault.mount('team', 2).put('shared', { mine: 'old', theirs: 'marker-of-theirs', big: 'x' })
    place.write(
      'keyturn.yaml',
      `vault: { address: "${vault.url}", auth: { method: token, token: "\${THE_TOKEN}" }, secrets: [{ path: team/data/shared, key: mine }] }
secrets: { shared: { type: service-token, every: 1d, grace: 1h, cache: 0s } }
`,
    )
    broker = await start(place, { THE_TOKEN: vault.root })
  })
  afterAll(async () => {
    await broker?.stop()
    place.remove()
  })

  const stored = async () => {
    const answer = await fetch(`${vault.url}/v1/team/data/shared`, { headers: { 'x-vault-token': vault.root } })
    return ((await answer.json()) as { data: { data: Record<string, string> } }).data.data
  }

  test('is written and rotated, and its neighbours stay as they were', async () => {
    expect((await broker.ask('GET', '/v1/secrets/shared')).body.fields).toEqual({ mine: 'old' })
    expect((await broker.ask('PUT', '/v1/secrets/shared', { body: { fields: { mine: 'new' } } })).status).toBe(200)
    expect(await stored()).toEqual({ mine: 'new', theirs: 'marker-of-theirs', big: 'x' })
    const previous = await broker.ask('GET', '/v1/secrets/shared?stage=previous')
    expect(previous.body.fields).toEqual({ mine: 'old' })
    const rotated = await broker.ask('POST', '/admin/v1/secrets/rotate/shared', { body: { mode: 'compromise' } })
    expect(rotated.status).toBe(202)
    const { mine, ...others } = await until('the rotation', async () => {
      const now = await stored()
      return now.mine === 'new' ? undefined : now
    })
    expect(mine).toMatch(/^[\w-]{43}$/)
    expect(others).toEqual({ theirs: 'marker-of-theirs', big: 'x' })
  })

  test('is not written in part, nor beyond what the config names, nor deleted with its neighbours', async () => {
    for (const fields of [{ mine: 'a', theirs: 'b' }, { theirs: 'b' }]) {
      expect((await broker.ask('PUT', '/v1/secrets/shared', { body: { fields } })).status).toBe(400)
    }
    expect((await broker.ask('PUT', '/v1/secrets/shared', { body: { value: 'a' } })).status).toBe(400)
    expect((await broker.ask('DELETE', '/v1/secrets/shared')).status).toBe(501)
    expect((await stored()).theirs).toBe('marker-of-theirs')
  })
})

test('a store that is down at start keeps nobody from starting, nor from being ready', async () => {
  const place = new Place()
  const late = await VaultFake.start()
  const address = late.url
  await late.close()
  place.write('app.env', 'HERE=yes\n')
  place.write(
    'keyturn.yaml',
    `dotenv: { file: app.env }\nvault: { address: "${address}", auth: { method: token, token: "\${THE_TOKEN}" }, secrets: [{ path: secret/data/app/key }] }\n`,
  )
  const broker = await start(place, { THE_TOKEN: 'root-token-of-the-fake' })
  try {
    const down = await broker.ask('GET', '/v1/secrets/app/key')
    expect([down.status, down.body.code]).toEqual([503, 'unavailable'])
    expect((await broker.ask('GET', '/v1/secrets/HERE')).status).toBe(200)
    expect((await broker.ask('GET', '/readyz', { token: null })).status).toBe(200)
  } finally {
    await broker.stop()
    place.remove()
  }
})

test('where the row allows it, the last value stands in for a store that is away, and says so', async () => {
  const place = new Place()
  const own = await VaultFake.start()
  own.mount('secret', 2).put('app/key', { password: 'x' })
  place.write(
    'keyturn.yaml',
    `vault: { address: "${own.url}", auth: { method: token, token: "\${THE_TOKEN}" }, secrets: [{ path: secret/data/app/key }] }
secrets: { app/key: { cache: 1s, maxStale: 1h } }
`,
  )
  const broker = await start(place, { THE_TOKEN: own.root })
  try {
    const read = () => broker.ask('GET', '/v1/secrets/app/key')
    expect((await read()).headers.get('x-keyturn-source')).toBe('vault')
    expect((await read()).headers.get('x-keyturn-source')).toBe('cache')
    own.turn(/^GET \/v1\/secret\/data/, { do: 'drop' })
    const stale = await until('an answer from memory', async () => {
      const answer = await read()
      return answer.headers.get('x-keyturn-stale') === 'true' ? answer : undefined
    })
    expect([stale.status, stale.body.fields, stale.headers.get('x-keyturn-source')]).toEqual([200, { password: 'x' }, 'cache'])
    expect(Number(stale.headers.get('age'))).toBeGreaterThanOrEqual(1)
    own.turnBack()
    expect((await read()).headers.get('x-keyturn-stale')).toBeNull()
  } finally {
    await broker.stop()
    await own.close()
    place.remove()
  }
})
