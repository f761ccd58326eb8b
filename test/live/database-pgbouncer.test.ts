import { runStoreChecks } from '@keyturn/conformance'
import { ledgerContract } from '@keyturn/ledger/contract'
import { databaseClock } from '@keyturn/sql/postgres'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { openPostgres } from '../../packages/ledger/src/postgres/open.ts'
import { type PgBouncer, startPgBouncer } from '../servers/pgbouncer.ts'
import { type PostgresServer, startPostgres } from '../servers/postgres.ts'
import { connected, context, harnessOf, readyRoles, spoiling } from './database-scene.ts'
import { tally, tell } from './tell.ts'

const server = await startPostgres()
const roles = 'absent' in server ? undefined : await readyRoles(server.url)
const bouncer = 'absent' in server || roles === undefined ? { absent: 'no PostgreSQL' } : await startPgBouncer([roles.owner, server.url])
const counts = tally()
const said =
  'absent' in bouncer || 'absent' in server
    ? { server: 'pgbouncer', absent: 'absent' in bouncer ? bouncer.absent : '' }
    : { server: `${bouncer.version} before ${server.version}` }
afterAll(() => tell({ adapter: 'database', ...said, ...counts }))

if ('absent' in bouncer || 'absent' in server || roles === undefined) {
  test.skip(`the store through PgBouncer (absent: ${'absent' in bouncer ? bouncer.absent : ''})`, () => {})
} else suite(server, bouncer, roles.owner)

function suite(postgres: PostgresServer, bouncer: PgBouncer, owner: string): void {
  const sql = (text: string) => connected(postgres.url, client => client.query(text))
  beforeAll(() => sql('create table passed as select 0::bigint as ms'))
  afterAll(async () => {
    await bouncer.stop()
    await postgres.stop()
  })

  describe('the store through PgBouncer in transaction mode', () => {
    runStoreChecks(
      harnessOf('adapter-database', () => bouncer.through(owner), spoiling(postgres.url)),
      { test },
    )
  })

  describe('the ledger through PgBouncer in transaction mode', () => {
    const sqlClock = `${databaseClock} + (select ms from public.passed)`
    for (const check of ledgerContract.filter(({ needs }) => needs === undefined)) {
      test(check.title, async () => {
        await sql('drop schema if exists keyturn_ledger cascade; update passed set ms = 0')
        const ledger = await openPostgres(bouncer.through(postgres.url), { random: context.random, sqlClock })
        const advance = async (ms: number) => void (await sql(`update passed set ms = ms + ${ms}`))
        try {
          await check.run({ ledger, advance })
        } finally {
          await ledger.close()
        }
      })
    }
  })
}
