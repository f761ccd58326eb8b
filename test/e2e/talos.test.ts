import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { until } from './harness.ts'
import { Deployment } from './runbook/deployment.ts'
import { AuditService } from './talos/audit-service.ts'
import { talosBehaves } from './talos/behaviour.ts'

const serve = 'set -a; . ./talos.env; set +a\nnpx --no keyturn serve --config configs/talos/keyturn.yaml\n'

describe('configs/talos embedded, without DATABASE_URL', () => {
  let deployment: Deployment
  let service: AuditService
  beforeAll(async () => {
    service = await AuditService.start()
    service.away = true
    deployment = await Deployment.make(1)
    const kek = () => randomBytes(32).toString('base64url')
    const keys = `TALOS_KEK_v1=${kek()}\nTALOS_KEK_v2=${kek()}\nTALOS_CURRENT_KEK_ID=v1\n`
    deployment.place.write('talos.env', `${keys}TALOS_AUDIT_URL=${service.url}\n`)
    await deployment.startAll(serve)
  }, 60_000)
  afterAll(async () => {
    await deployment.remove()
    await service.stop()
  })
  talosBehaves(() => deployment)

  test('an audit service that was away all the time gets every record in its order, from the start of a rotation to its end', async () => {
    await until('it was asked', () => (service.refused > 0 ? true : undefined), 60_000)
    expect(service.lines).toEqual([])
    const isUp = async () => /^keyturn_audit_sink_up\{.*\} (\d)$/m.exec((await deployment.ask('GET', '/metrics')).text)?.[1]
    expect(await isUp()).toBe('0')
    service.away = false
    const chain = () =>
      deployment.place
        .read('data/audit.jsonl')
        .split('\n')
        .filter(line => line !== '')
    await until('it has all of the chain', () => (service.lines.length >= chain().length ? true : undefined), 90_000)
    expect(service.lines).toEqual(chain())
    expect(await isUp()).toBe('1')
    const actions = service.lines.map(line => JSON.parse(line) as { action?: string; secret?: string })
    const steps = actions.filter(({ secret, action }) => secret === 'gateway/session-key' && action?.startsWith('rotation.') === true)
    expect(steps.map(({ action }) => action)).toEqual(
      expect.arrayContaining(['rotation.staged', 'rotation.verified', 'rotation.promoted', 'rotation.done']),
    )
  }, 160_000)
})
