import { failure } from '@keyturn/conformance'
import type { BrokerError } from '@keyturn/core'
import { afterAll, expect, test } from 'vitest'
import { openPostgres } from '../../packages/ledger/src/postgres/open.ts'
import { type PostgresServer, startPostgres, startStandby } from '../servers/postgres.ts'
import { at, connected, context, intent, openAt, text } from './database-scene.ts'
import { tally, tell } from './tell.ts'

const primary = await startPostgres({ settings: { max_connections: '40' } })
const counts = tally()
const said = 'absent' in primary ? { server: 'postgresql', absent: primary.absent } : { server: `${primary.version}, primary and standby` }
afterAll(() => tell({ adapter: 'database', ...said, ...counts }))

if ('absent' in primary) test.skip(`a fail-over (absent: ${primary.absent})`, () => {})
else suite(primary)

function suite(primary: PostgresServer): void {
  test('a fail-over to a standby: it is passed over until it is promoted, and nothing that was acknowledged is lost', async () => {
    const standby = await startStandby(primary)
    let primaryStands = true
    try {
      await connected(primary.url, async client => {
        await client.query("alter system set synchronous_standby_names = '*'")
        await client.query('select pg_reload_conf()')
      })
      // the standby first: it is found to be one
      const hosts = `127.0.0.1:${standby.port},127.0.0.1:${primary.port}`
      const url = `${primary.url.replace(`127.0.0.1:${primary.port}`, hosts)}?target_session_attrs=read-write`
      const adapter = await openAt(url)
      const ledger = await openPostgres(url, { random: context.random })
      try {
        expect((await failure(openAt(standby.url))).message).toBe('store: the server is read-only (a standby?) (SQLSTATE 25006)')
        const path = at('failover/counter')
        const acknowledged: number[] = []
        const once = async () => {
          const made = await adapter.write(path, text('x'), intent()).catch((error: BrokerError) => error.code)
          if (typeof made !== 'string') acknowledged.push(made.order ?? 0)
          return typeof made === 'string' ? made : 'made'
        }
        for (let count = 0; count < 20; count += 1) expect(await once()).toBe('made')
        await primary.stop('immediate')
        primaryStands = false
        expect(['unavailable', 'outcome_unknown']).toContain(await once())
        await connected(standby.url, client => client.query('select pg_promote()'))
        await expect.poll(once, { timeout: 10_000 }).toBe('made')
        await ledger.check()
        const { rows } = await connected(standby.url, client =>
          client.query('select number::int from keyturn_store.versions order by number'),
        )
        expect(acknowledged.filter(number => !rows.some(row => row.number === number))).toEqual([])
        expect((await adapter.read(path, intent())).order).toBe(rows.length)
      } finally {
        await Promise.all([adapter.close(), ledger.close()])
      }
    } finally {
      await Promise.all([standby.stop('immediate'), ...(primaryStands ? [primary.stop('immediate')] : [])])
    }
  })
}
