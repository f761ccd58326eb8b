import { randomBytes, randomUUID } from 'node:crypto'
import { appendFileSync } from 'node:fs'
import { ledgerContract } from '@keyturn/ledger/contract'
import pg from 'pg'
import { afterAll, afterEach, describe, test } from 'vitest'
import { databaseClock } from '../../packages/ledger/src/postgres/dialect.ts'
import { openPostgres } from '../../packages/ledger/src/postgres/open.ts'
import { startPostgres } from '../servers/postgres.ts'

const random = { bytes: (count: number) => randomBytes(count), uuid: () => randomUUID() }
const server = await startPostgres()
const counts = { passed: 0, failed: 0 }

afterEach(({ task }) => {
  counts[task.result?.state === 'pass' ? 'passed' : 'failed'] += 1
})

afterAll(() => {
  const table = process.env.KEYTURN_LIVE_TABLE
  const line = 'absent' in server ? { server: 'postgresql', absent: server.absent } : { server: server.version }
  if (table !== undefined) appendFileSync(table, `${JSON.stringify({ adapter: 'ledger', ...counts, ...line })}\n`)
})

if ('absent' in server) {
  test.skip(`the ledger in PostgreSQL (absent: ${server.absent})`, () => {})
} else {
  const admin = new pg.Pool({ connectionString: server.url, max: 2 })
  // the server goes away while connections are idle; that is the plan
  admin.on('error', () => {})
  afterAll(async () => {
    await admin.end()
    await server.stop()
  })

  // the server's clock, and the time that checks let pass
  const sqlClock = `${databaseClock} + (select ms from public.passed)`

  describe('the ledger in PostgreSQL keeps the contract', () => {
    for (const check of ledgerContract.filter(({ needs }) => needs === undefined)) {
      test(check.title, async () => {
        await admin.query(
          'drop schema if exists keyturn_ledger cascade; drop table if exists passed; create table passed as select 0::bigint as ms',
        )
        const ledger = await openPostgres(server.url, { random, sqlClock })
        try {
          await check.run({
            ledger,
            advance: async ms => {
              await admin.query('update passed set ms = ms + $1', [ms])
            },
          })
        } finally {
          await ledger.close()
        }
      })
    }
  })
}
