import { afterAll, test } from 'vitest'
import { Procedure } from '../e2e/runbook/procedure.ts'
import { type PostgresServer, startPostgres } from '../servers/postgres.ts'
import { tally, tell } from './tell.ts'

const server = await startPostgres()
const counts = tally()
afterAll(() =>
  tell({
    adapter: 'KEK runbook',
    ...('absent' in server ? { server: 'postgresql', absent: server.absent } : { server: server.version }),
    ...counts,
  }),
)

if ('absent' in server) test.skip(`the KEK runbook on PostgreSQL (absent: ${server.absent})`, () => {})
else suite(server)

function suite({ url, stop }: PostgresServer): void {
  let procedure: Procedure | undefined
  afterAll(async () => {
    await procedure?.end()
    await stop()
  })

  test('the KEK runbook, three brokers on PostgreSQL: every line of it, no failed read, no downtime', async () => {
    procedure = await Procedure.make({ brokers: 3, secrets: 1_000 }, { DATABASE_URL: url })
    await procedure.follow({ readsMin: 500 })
  })
}
