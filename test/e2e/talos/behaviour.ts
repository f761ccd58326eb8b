import { expect, test } from 'vitest'
import { type AskOptions, until } from '../harness.ts'
import type { Deployment } from '../runbook/deployment.ts'

const secrets = '/admin/v1/secrets'
const session = 'gateway/session-key'

/** What a deployment of talos does, embedded and on PostgreSQL alike: every path and field that its operators call, as they call it. */
export function talosBehaves(of: () => Deployment): void {
  const ask = (method: string, target: string, options: AskOptions = {}) => of().ask(method, target, options)
  const tokenOf = async (role: string): Promise<string> => {
    const made = await ask('POST', '/admin/v1/tokens', { body: { role, ttl: 3600 } })
    expect(made.status, made.text).toBe(201)
    return made.body.token
  }
  const over = async (target: string) =>
    until(`${target} is over`, async () => {
      const { status, body, text } = await ask('GET', target)
      expect(status, text).toBe(200)
      return ['done', 'failed', 'aborted'].includes(body.state) || body.items[0]?.state === 'grace' ? body : undefined
    })
  const versions = async () => (await ask('GET', `/admin/v1/versions/${session}`)).body

  test('a value that is made here is there after the start', async () => {
    await until('the first version', async () => ((await ask('GET', `/v1/secrets/${session}`)).status === 200 ? true : undefined), 60_000)
  })

  test('rotation/status tells what is due, running, in grace and failed, and when the worker looks again', async () => {
    const { status, body } = await ask('GET', `${secrets}/rotation/status`)
    expect(status).toBe(200)
    expect(Object.keys(body.counts).sort()).toEqual(['due', 'failed', 'in_grace', 'needs_attention', 'running', 'waiting'])
    // an hour is the longest pause, and two clocks are compared
    const pauseMs = Date.parse(body.next_scan_at) - Date.parse(body.now)
    expect(pauseMs).toBeLessThanOrEqual(3_601_000)
    const row = body.secrets.find(({ name }: { name: string }) => name === session)
    expect(row).toMatchObject({ type: 'service-token', version: '1', previous: null, error: null })
    const days = (Date.parse(row.next_rotation_at) - Date.parse(body.now)) / 86_400_000
    expect(days).toBeGreaterThan(29.9)
    expect(days).toBeLessThan(30.1)
  })

  test('every call without a token is 401 with a hint, with another role 403, of what is not there 404', async () => {
    const [gateway, operator] = [await tokenOf('gateway'), await tokenOf('operator')]
    const calls = [
      ['GET', `${secrets}/rotation/status`],
      ['POST', `${secrets}/rotate/${session}`],
      ['POST', `${secrets}/rotate-all`],
      ['GET', `${secrets}/rotation-status/op_01h00000000000000000000000`],
      ['GET', `${secrets}/kek-status`],
    ] as const
    for (const [method, target] of calls) {
      const unknown = await ask(method, target, { token: null })
      expect([target, unknown.status, unknown.body.hint]).toEqual([target, 401, expect.stringMatching(/./)])
      expect([target, (await ask(method, target, { token: gateway })).status]).toEqual([target, 403])
    }
    expect((await ask('GET', `${secrets}/rotation/status`, { token: operator })).status).toBe(200)
    for (const [method, target] of [calls[2], calls[4]]) expect((await ask(method, target, { token: operator })).status).toBe(403)
    expect((await ask('GET', `${secrets}/rotation-status/op_01h00000000000000000000000`)).status).toBe(404)
    expect((await ask('POST', `${secrets}/rotate/gateway/never-there`)).status).toBe(404)
  })

  test('one rotation of one secret: accepted, one version for one Idempotency-Key, old and new readable', async () => {
    const before = (await ask('GET', `/v1/secrets/${session}`)).body
    const headers = { 'idempotency-key': 'one-rotation' }
    const [first, second] = [
      await ask('POST', `${secrets}/rotate/${session}`, { headers }),
      await ask('POST', `${secrets}/rotate/${session}`, { headers }),
    ]
    expect([first.status, second.status]).toEqual([202, 202])
    expect(first.body).toEqual({ op_id: expect.stringMatching(/^op_/), status_url: `${secrets}/rotation-status/${first.body.op_id}` })
    expect(second.body).toEqual(first.body)
    await over(first.body.status_url)
    // another broker may answer from its memory for as long as `ttl` says
    const now = await until(
      'the new one is read everywhere',
      async () => {
        const { body } = await ask('GET', `/v1/secrets/${session}`)
        expect(body.version === '1' ? body.value : before.value).toBe(before.value)
        return body.version === '2' ? body : undefined
      },
      60_000,
    )
    expect(now.value).not.toBe(before.value)
    expect((await ask('GET', `/v1/secrets/${session}?stage=previous`)).body).toMatchObject({ version: '1', value: before.value })
    // while readers were promised the old one, there is no other
    expect((await ask('POST', `${secrets}/rotate/${session}`)).status).toBe(409)
    expect(JSON.stringify(await versions())).not.toContain(before.value)
  })

  test('rotate-all closes every value anew and changes none; kek-status has its counts', async () => {
    const { value, version } = (await ask('GET', `/v1/secrets/${session}?version=2`)).body
    const { status, body } = await ask('POST', `${secrets}/rotate-all`)
    expect([status, body.status_url]).toEqual([202, `${secrets}/rotation-status/${body.op_id}`])
    const end = await over(body.status_url)
    expect(end).toMatchObject({ op_id: body.op_id, kind: 'rewrap', state: 'done', failed: 0, failures: [] })
    expect(end.done + end.skipped).toBe(end.total)
    expect([typeof end.started, typeof end.finished]).toEqual(['string', 'string'])
    expect((await ask('GET', `/v1/secrets/${session}?version=2`)).body).toMatchObject({ value, version })
    const keks = (await ask('GET', `${secrets}/kek-status`)).body
    expect(keks).toMatchObject({ current: 'v1', wanted: 'v1', promotion: 'done', loaded: ['v1', 'v2'], due: false, open_ops: [] })
    expect(keks.stale_counts).toEqual({ v2: 0 })
    expect(keks.safe_to_retire.v1.safe).toBe(false)
    expect(keks.keks.v1.needs.versions).toBeGreaterThanOrEqual(2)
  })

  test.each(['0', '-1', 'x'])('SECRET_ROTATION_INTERVAL_DAYS=%s refuses the start, and is named', async days => {
    const ended = await of().run(`set -a; . ./talos.env; set +a
export SECRET_ROTATION_INTERVAL_DAYS='${days}' KEYTURN_DATA=data-of-nobody KEYTURN_LISTEN=127.0.0.1:0
npx --no keyturn serve --config configs/talos/keyturn.yaml`)
    expect(ended.code).not.toBe(0)
    expect(ended.err).toContain('SECRET_ROTATION_INTERVAL_DAYS')
  })
}
