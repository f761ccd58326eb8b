import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe } from 'vitest'
import { Deployment } from './runbook/deployment.ts'
import { talosBehaves } from './talos/behaviour.ts'

const serve = 'set -a; . ./talos.env; set +a\nnpx --no keyturn serve --config configs/talos/keyturn.yaml\n'

describe('configs/talos embedded, without DATABASE_URL', () => {
  let deployment: Deployment
  beforeAll(async () => {
    deployment = await Deployment.make(1)
    const kek = () => randomBytes(32).toString('base64url')
    deployment.place.write('talos.env', `TALOS_KEK_v1=${kek()}\nTALOS_KEK_v2=${kek()}\nTALOS_CURRENT_KEK_ID=v1\n`)
    await deployment.startAll(serve)
  }, 60_000)
  afterAll(() => deployment.remove())
  talosBehaves(() => deployment)
})
