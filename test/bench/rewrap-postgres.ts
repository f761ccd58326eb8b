import pg from 'pg'
import type { BenchBroker } from './rewrap-broker.ts'
import { fingerprint, sealedRows } from './rewrap-rows.ts'

const pageRows = 1_000

/** A schema as the broker makes it, filled with sealed rows under its first KEK. */
export async function fillServer(url: string, broker: BenchBroker, count: number): Promise<void> {
  await broker.start()
  await broker.ask('PUT', '/v1/secrets/bench/first', { value: 'first' })
  await broker.stop()
  await withClient(url, async client => {
    const { id } = (await client.query('select id from keyturn_store.store')).rows[0]
    for (const page of sealedRows(broker, id, count, 1_000)) {
      const column = (name: keyof (typeof page)[number]) => page.map(row => row[name])
      await client.query('begin')
      await client.query(
        `insert into keyturn_store.secrets (number, id, path, revision) overriding system value
         select u.number, u.id, u.path, 1 from unnest($1::bigint[], $2::text[], $3::text[]) as u(number, id, path)`,
        [column('number'), column('id'), column('path')],
      )
      await client.query(
        `insert into keyturn_store.versions (secret, number, kind, label, created_at, intent, fingerprint, kek_id, payload, wrap)
         select u.number, 1, 'text', 'current', 1767225600000 + u.number, 'bench', $5, u.kek, u.payload, u.wrap
         from unnest($1::bigint[], $2::text[], $3::bytea[], $4::bytea[]) as u(number, kek, payload, wrap)`,
        [column('number'), column('kekId'), column('payload'), column('wrap'), fingerprint],
      )
      await client.query('commit')
    }
  })
}

/** What the last pass left is cleared away and on the disk, so that each pass begins alike. */
export function settle(url: string): Promise<void> {
  return withClient(url, async client => {
    await client.query('vacuum analyze keyturn_store.versions')
    await client.query('checkpoint')
  })
}

/**
 * The limit: one connection that reads page after page by the key and sets KEK and wrap of rows that are as they were read, with bytes that are there
 * already. Twice, there and back, so that the rows open afterwards. Rows a second, the slower of the two.
 */
export async function bareOnServer(url: string, broker: BenchBroker): Promise<number> {
  const bareKek = 'bench'
  return withClient(url, async client => {
    await client.query('insert into keyturn_store.keks (id) values ($1) on conflict (id) do nothing', [bareKek])
    const there = await bare(client, broker.current, bareKek)
    await client.query('vacuum analyze keyturn_store.versions')
    const back = await bare(client, bareKek, broker.current)
    return Math.min(there, back)
  })
}

async function bare(client: pg.Client, from: string, to: string): Promise<number> {
  let after = { secret: '0', number: '0' }
  let count = 0
  const begun = performance.now()
  for (;;) {
    await client.query('begin')
    const { rows } = await client.query(
      `select t.secret, t.number, s.id, t.kek_id, t.wrap from keyturn_store.versions t join keyturn_store.secrets s on s.number = t.secret
       where t.kek_id <> $1 and (t.secret, t.number) > ($2, $3) order by t.secret, t.number limit $4`,
      [to, after.secret, after.number, pageRows],
    )
    if (rows.length > 0) {
      const column = (name: string) => rows.map(row => row[name])
      const { rowCount } = await client.query(
        `update keyturn_store.versions t set kek_id = $5, wrap = u.wrap
         from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bytea[]) as u(secret, number, kek, wrap)
         where t.secret = u.secret and t.number = u.number and t.kek_id = u.kek and t.wrap = u.wrap`,
        [column('secret'), column('number'), column('kek_id'), column('wrap'), to],
      )
      if (rowCount !== rows.length) throw new Error(`${rowCount} of ${rows.length} rows of ${from} were changed`)
    }
    await client.query('commit')
    count += rows.length
    if (rows.length < pageRows) return (count / (performance.now() - begun)) * 1_000
    after = rows.at(-1)
  }
}

async function withClient<T>(url: string, act: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await act(client)
  } finally {
    await client.end()
  }
}
