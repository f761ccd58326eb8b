import { afterAll, beforeAll, expect, test } from 'vitest'
import { VaultFake } from '../fakes/vault.ts'
import { freePort } from '../servers/free-port.ts'
import { Child, verdictOf } from './child.ts'
import { Place, until } from './harness.ts'

const rounds = 6
const names = Array.from({ length: rounds }, (_, round) => `round/${round}`)
const place = new Place()
let port: number
let broker: Child

beforeAll(async () => {
  const rows = names.map(name => `  ${name}: { type: service-token, every: 1d, grace: 1h, cache: 0s }`)
  place.write('keyturn.yaml', `database: {}\nsecrets:\n${rows.join('\n')}\n`)
  port = await freePort()
  broker = await Child.start(place, port)
  for (const name of names) {
    await until(`the first version of ${name}`, async () => {
      const read = await broker.ask('GET', `/v1/secrets/${name}`)
      return read.status === 200 ? true : undefined
    })
  }
})
afterAll(async () => {
  await broker?.kill()
  place.remove()
})

const rowOf = async (name: string) => {
  const status = await broker.ask('GET', '/admin/v1/secrets/rotation/status')
  return status.body.secrets.find((row: { name: string }) => row.name === name)
}

test('a broker that is killed in the middle of a rotation ends it by itself when it starts again', { timeout: 120_000 }, async () => {
  for (const [round, name] of names.entries()) {
    const before = (await broker.ask('GET', `/v1/secrets/${name}`)).body
    const asked = broker.ask('POST', `/admin/v1/secrets/rotate/${encodeURIComponent(name)}`).catch(() => undefined)
    // from before the request arrives to after the promotion: the steps take some ten milliseconds
    await new Promise(resolve => setTimeout(resolve, round * 7))
    await broker.kill()
    const accepted = (await asked)?.status === 202
    broker = await Child.start(place, port)
    const row = await until(`the end of ${name}`, async () => {
      const found = await rowOf(name)
      return ['in_grace', 'scheduled', 'failed'].includes(found.state) ? found : undefined
    })
    const after = (await broker.ask('GET', `/v1/secrets/${name}`)).body
    const versions = (await broker.ask('GET', `/v1/versions/${name}`)).body.versions
    const moved = row.state === 'in_grace'
    // what was accepted was on the disk, and goes on
    if (accepted) expect([name, moved]).toEqual([name, true])
    expect([name, versions.length]).toEqual([name, moved ? 2 : 1])
    expect(after.value === before.value).toBe(!moved)
    const previous = await broker.ask('GET', `/v1/secrets/${name}?stage=previous`)
    expect([name, previous.body.value]).toEqual([name, moved ? before.value : undefined])
  }
  expect(await verdictOf(place)).toBe('ok')
  const ids = place
    .read('data/audit.jsonl')
    .split('\n')
    .flatMap(line => line.match(/"requestId":"(evt_\d+)"/)?.[1] ?? [])
  expect(ids.length).toBeGreaterThan(rounds)
  expect(new Set(ids).size).toBe(ids.length)
})

test('told to stop, it ends in order and lets go of everything', async () => {
  expect(await broker.stop()).toBe(0)
  expect(await verdictOf(place)).toBe('ok')
  broker = await Child.start(place, port)
  expect((await broker.ask('GET', `/v1/secrets/${names[0]}`)).status).toBe(200)
})

test('a request that is under way when it is told to stop gets its answer', { timeout: 60_000 }, async () => {
  const vault = await VaultFake.start()
  vault.mount('secret', 2).put('app/slow', { password: 'x' })
  const other = new Place()
  const secrets = '[{ path: secret/data/app/slow }]'
  other.write('keyturn.yaml', `vault: { address: "${vault.url}", auth: { method: token, token: "\${THE_TOKEN}" }, secrets: ${secrets} }\n`)
  const child = await Child.start(other, await freePort(), { THE_TOKEN: vault.root })
  try {
    vault.turn(/^GET \/v1\/secret\/data/, { do: 'slow', ms: 800 })
    const asked = child.ask('GET', '/v1/secrets/app/slow')
    await until('the request at the store', () => (vault.seen.some(seen => seen.path.includes('app/slow')) ? true : undefined))
    const begun = performance.now()
    const ended = child.stop()
    expect((await asked).body.fields).toEqual({ password: 'x' })
    expect(await ended).toBe(0)
    expect(performance.now() - begun).toBeLessThan(10_000)
    expect(child.output).toContain('"msg":"stopped"')
  } finally {
    await child.kill()
    await vault.close()
    other.remove()
  }
})
