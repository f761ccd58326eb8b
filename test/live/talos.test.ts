import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { Deployment } from '../e2e/runbook/deployment.ts'
import { talosBehaves } from '../e2e/talos/behaviour.ts'
import { type PostgresServer, startPostgres } from '../servers/postgres.ts'
import { tally, tell } from './tell.ts'

const serve = 'set -a; . ./talos.env; set +a\nnpx --no keyturn serve --config configs/talos/keyturn.yaml\n'
const server = await startPostgres()
const counts = tally()
afterAll(() =>
  tell({
    adapter: 'talos, three brokers',
    ...('absent' in server ? { server: 'postgresql', absent: server.absent } : { server: server.version }),
    ...counts,
  }),
)

if ('absent' in server) test.skip(`talos on PostgreSQL (absent: ${server.absent})`, () => {})
else suite(server)

function suite({ url, stop }: PostgresServer): void {
  describe('configs/talos on PostgreSQL, three brokers', () => {
    let deployment: Deployment
    beforeAll(async () => {
      deployment = await Deployment.make(3)
      const kek = () => randomBytes(32).toString('base64url')
      deployment.place.write('talos.env', `DATABASE_URL=${url}\nTALOS_KEK_v1=${kek()}\nTALOS_KEK_v2=${kek()}\nTALOS_CURRENT_KEK_ID=v1\n`)
      await deployment.startAll(serve)
    }, 120_000)
    afterAll(async () => {
      await deployment.remove()
      await stop()
    })
    talosBehaves(() => deployment)
  })
}
