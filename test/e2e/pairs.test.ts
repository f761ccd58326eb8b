import { chmodSync, cpSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Ran, ran } from '../../packages/cli/test/fake-terminal.ts'
import { Place, type Running, start, until } from './harness.ts'
import { type Backend, type Home, startBackends } from './pairs-backends.ts'

const kinds = ['vault', 'aws', 'azure', 'gcp', 'kubernetes', 'dotenv', 'database'] as const
type Kind = (typeof kinds)[number]

/** Everything of the config but the store's section: the same in every deployment of this file. */
const rest = `
secrets:
  app/db: { type: database, strategy: generated, every: 1d, grace: 1h, renew: [password], cache: 0s }
  app/api: { type: api-key, cache: 0s }
  app/made: { type: service-token, strategy: generated, every: 1d, grace: 1h, renew: [token], cache: 0s }
`
const outside = { username: 'orders', password: 'set by somebody else, ü and 🔑' }
const written = { key: 'written through the broker', note: 'two\r\nlines, "quotes" and {"json":true}' }

const backends = new Map<string, Backend>()
/** Where each kind's deployment lives once it has run, and what it answers. */
const homes = new Map<Kind, { readonly place: Place; readonly home: Home; readonly served: Served }>()
const env: Record<string, string> = {}
const places: Place[] = []

interface Served {
  readonly db: Readonly<Record<string, string>>
  readonly made: Readonly<Record<string, string>>
}

function newPlace(): Place {
  const place = new Place()
  places.push(place)
  return place
}

beforeAll(async () => {
  for (const backend of await startBackends()) {
    backends.set(backend.kind, backend)
    Object.assign(env, backend.env)
  }
  expect([...backends.keys()]).toEqual(kinds)
})
afterAll(async () => {
  for (const place of places) place.remove()
  for (const backend of backends.values()) await backend.close()
})

const backendOf = (kind: Kind): Backend => {
  const backend = backends.get(kind)
  if (backend === undefined) throw new Error(`no backend ${kind}`)
  return backend
}
const read = async (broker: Running, name: string, query = '') =>
  (await broker.ask('GET', `/v1/secrets/${encodeURIComponent(name)}${query}`)).body

/** The lines that a command said. */
const stepsOf = ({ out }: Ran) =>
  out
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line))
const endOf = (answer: Ran) => stepsOf(answer).at(-1)

/** Rotates, and waits for the new value. */
async function rotated(broker: Running, name: string): Promise<Readonly<Record<string, string>>> {
  const before = await read(broker, name)
  expect((await broker.ask('POST', `/admin/v1/secrets/rotate/${encodeURIComponent(name)}`)).status).toBe(202)
  return until(`a rotation of ${name}`, async () => {
    const now = await read(broker, name)
    return now.version === before.version ? undefined : now.fields
  })
}

/** What every deployment does, whichever store it is on. */
async function lives(kind: Kind): Promise<void> {
  const place = newPlace()
  const home = backendOf(kind).home(`home-${kind}`)
  await home.put(place, 'app/db', outside)
  place.write('keyturn.yaml', home.section(place) + rest)
  const broker = await start(place, env)
  try {
    expect((await read(broker, 'app/db')).fields).toEqual(outside)
    expect((await broker.ask('PUT', '/v1/secrets/app%2Fapi', { body: { fields: written } })).status).toBe(201)
    expect((await read(broker, 'app/api', '?field=key')).value).toBe(written.key)
    const fields = await rotated(broker, 'app/db')
    expect(fields).toEqual({ username: outside.username, password: expect.not.stringMatching(outside.password) })
    const previous = await read(broker, 'app/db', '?stage=previous')
    expect([previous.stage, previous.fields]).toEqual(['previous', outside])
    const made = await until('the secret that is made at the start', async () => (await read(broker, 'app/made')).fields)
    expect(Object.keys(made)).toEqual(['token'])
    homes.set(kind, { place, home, served: { db: fields, made } })
  } finally {
    await broker.stop()
  }
  if (home.get === undefined) return
  expect(await home.get(place, 'app/api')).toEqual(written)
  expect(await home.get(place, 'app/db')).toEqual(homes.get(kind)?.served.db)
}

/** The deployment on one store, copied to another, and served from there with only its section changed. */
async function moves(from: Kind, to: Kind): Promise<void> {
  const old = homes.get(from)
  if (old === undefined) throw new Error(`nothing lives on ${from}`)
  const place = newPlace()
  cpSync(old.place.folder, place.folder, { recursive: true })
  // a copy's folders get the modes of the process
  for (const folder of ['data', 'data/keys']) chmodSync(join(place.folder, folder), 0o700)
  const home = backendOf(to).home(`${from}-${to}`)
  place.write('keyturn.yaml', old.home.section(place) + rest)
  place.write('next.yaml', home.section(place) + rest)
  const all = { KEYTURN_LISTEN: '127.0.0.1:0', KEYTURN_DATA: join(place.folder, 'data'), ...env }
  const copy = () =>
    ran(['copy', from, to, '--to-config', 'next.yaml', '--versions', '--verify', '--json'], { cwd: place.folder, env: all })
  const copied = await copy()
  expect([copied.code, endOf(copied)], copied.err).toEqual([0, expect.objectContaining({ copied: 3, failed: 0, differs: 0 })])
  // the one that somebody else wrote, and the one it was rotated to
  const versions = backendOf(from).history && backendOf(to).history ? 2 : 1
  expect(stepsOf(copied).find(({ event, name }) => event === 'plan' && name === 'app/db')).toMatchObject({ action: 'create', versions })
  expect(endOf(await copy())).toMatchObject({ copied: 0, same: 3, failed: 0, differs: 0 })
  if (home.get !== undefined) expect(await home.get(place, 'app/api')).toEqual(written)

  place.write('keyturn.yaml', place.read('next.yaml'))
  const broker = await start(place, env)
  try {
    expect((await read(broker, 'app/db')).fields).toEqual(old.served.db)
    expect((await read(broker, 'app/api')).fields).toEqual(written)
    expect((await read(broker, 'app/made')).fields).toEqual(old.served.made)
    expect((await read(broker, 'app/api', '?field=note')).value).toBe(written.note)
    // the grace that began on the old store goes on
    expect((await read(broker, 'app/db', '?stage=previous')).fields).toEqual(outside)
    expect((await rotated(broker, 'app/made')).token).not.toBe(old.served.made.token)
    expect((await read(broker, 'app/made', '?stage=previous')).fields).toEqual(old.served.made)
    expect((await broker.ask('PUT', '/v1/secrets/app%2Fdb', { body: { fields: { ...outside, password: 'after the move' } } })).status).toBe(
      200,
    )
  } finally {
    await broker.stop()
  }
  if (home.get === undefined) return
  expect(await home.get(place, 'app/db')).toEqual({ ...outside, password: 'after the move' })
}

describe.each(kinds)('a deployment on %s', kind => {
  test('serves what others wrote, writes what others read, and rotates with grace', () => lives(kind))
})

describe.each(kinds)('from %s', from => {
  test.each(kinds.filter(to => to !== from))('to %s, by its section alone', to => moves(from, to))
})
