import { createSecretKey, randomBytes, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Fault, StoreHarness } from '@keyturn/conformance'
import { wallClock } from '@keyturn/conformance'
import { type OpenContext, SecretValue, Store, type StoreAdapter, type StorePath } from '@keyturn/core'
import { Keyring } from '@keyturn/envelope'
import pg from 'pg'
import { open } from '../../packages/adapter-database/src/store.ts'
import { openPostgres } from '../../packages/ledger/src/postgres/open.ts'

const random = { bytes: (count: number) => randomBytes(count), uuid: () => randomUUID() }
const keks = new Map(['k1', 'k2'].map(id => [id, createSecretKey(randomBytes(32))]))

export const context: OpenContext = { clock: wallClock, random, etagKey: createSecretKey(randomBytes(32)), data: '' }
export const at = (path: string) => path as StorePath
export const intent = () => ({ idempotencyKey: randomUUID(), signal: new AbortController().signal })
export const text = SecretValue.text

/** A keyring of the scene's two KEKs, or of some of them; the first is current. */
export function keyringOf(...ids: string[]): Keyring {
  const chosen = ids.length === 0 ? [...keks.keys()] : ids
  return new Keyring({ keks: new Map([...keks].filter(([id]) => chosen.includes(id))), current: chosen[0] ?? 'k1' })
}

export const openAt = (url: string, keyring = keyringOf(), given: Partial<OpenContext> = {}): Promise<StoreAdapter> =>
  open({ url, maxInFlight: 16 }, { ...context, ...given }, { keyring })

export const storeOf = (adapter: StoreAdapter): Store => new Store(adapter, { name: 'own', clock: wallClock, timeoutMs: 20_000 })

/** The SQL of a block of `docs/postgresql.md`, word for word. */
export function blockOf(role: 'administrator' | 'owner'): string {
  const page = readFileSync(new URL('../../docs/postgresql.md', import.meta.url), 'utf8')
  const block = page.split(`\`\`\`sql ${role}\n`)[1]?.split('```')[0]
  if (block === undefined) throw new Error(`docs/postgresql.md has no block of the ${role}`)
  return block
}

/** What the page gives the role of brokers in the schema of the ledger, to a role of another name. */
export function ledgerGrants(role: string): string {
  const lines = blockOf('owner')
    .split('\n')
    .filter(line => line.includes('keyturn_ledger'))
  return lines.join('\n').replaceAll(', keyturn_store', '').replaceAll('keyturn_app', role)
}

/** Runs what `run` does on a connection of its own. */
export async function connected<T>(url: string, run: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await run(client)
  } finally {
    await client.end()
  }
}

/** The roles of the page, made as it says, each with a password. */
async function makeRoles(url: string): Promise<Record<'owner' | 'app' | 'maintenance', string>> {
  const of = async (role: string) => {
    const password = randomBytes(12).toString('hex')
    await connected(url, client => client.query(`alter role keyturn_${role} password '${password}'`))
    return Object.assign(new URL(url), { username: `keyturn_${role}`, password }).href
  }
  await connected(url, client => client.query(blockOf('administrator')))
  return { owner: await of('owner'), app: await of('app'), maintenance: await of('maintenance') }
}

/** The same, with the schemas of store and ledger made by their owner, and the rights given that the page names. */
export async function readyRoles(url: string): ReturnType<typeof makeRoles> {
  const roles = await makeRoles(url)
  await (await openAt(roles.owner)).close()
  await (await openPostgres(roles.owner, { random })).close()
  await connected(roles.owner, client => client.query(blockOf('owner')))
  return roles
}

/** Runs SQL as nobody but an administrator could: without the triggers. */
export const spoiling = (url: string) => (sql: string) =>
  connected(url, client => client.query(`set session_replication_role = replica; ${sql}`))

/** The conformance suite on a server; `spoil` changes a stored row as no client of ours could. */
export function harnessOf(name: string, url: () => string, spoil: (sql: string) => Promise<unknown>, destroys = true): StoreHarness {
  const path = at(`faults/${randomUUID()}`)
  const sealed = async (ids: string[], sql?: string) => {
    const writer = await openAt(url())
    await writer.write(path, text('sealed'), intent())
    await writer.close()
    if (sql !== undefined) await spoil(sql)
    return openAt(url(), keyringOf(...ids))
  }
  const where = `from keyturn_store.secrets s where s.path = '${path}' and v.secret = s.number and v.label = 'current'`
  const faults: readonly Fault[] = [
    { title: 'the KEK that closed the value is not loaded', code: 'unavailable', path, open: () => sealed(['k2']) },
    {
      title: 'the sealed value was changed in the database',
      code: 'corrupt',
      path,
      open: () => sealed([], `update keyturn_store.versions v set payload = set_byte(payload, 40, 255 - get_byte(payload, 40)) ${where}`),
    },
    {
      title: 'the sealed value was moved to another secret',
      code: 'corrupt',
      path,
      open: () => sealed([], `update keyturn_store.secrets set id = 'sec_${randomBytes(13).toString('hex')}' where path = '${path}'`),
    },
  ]
  const all = ['cas', 'idempotent', 'stages', 'versions', 'disable', 'enable', 'destroy', 'delete', 'restore'] as const
  return {
    name,
    capabilities: all.filter(capability => destroys || capability !== 'destroy'),
    forms: ['text', 'fields'],
    prefix: 'fresh/',
    freshPath: () => at(`fresh/${randomUUID()}`),
    async open() {
      const { destroy, ...others } = await openAt(url())
      return destroys && destroy !== undefined ? { ...others, destroy } : others
    },
    faults,
  }
}
