import { afterAll, beforeAll, expect, test } from 'vitest'
import { Place, type Running, start, until } from './harness.ts'

const rotations = 10
const place = new Place()
let broker: Running

beforeAll(async () => {
  place.write('keyturn.yaml', 'database: {}\nsecrets:\n  app/token: { type: service-token, every: 2s, grace: 1s, cache: 1s }\n')
  broker = await start(place)
  await until('the first version', async () => ((await broker.ask('GET', '/v1/secrets/app/token')).status === 200 ? true : undefined))
})
afterAll(async () => {
  await broker?.stop()
  place.remove()
})

interface Reading {
  readonly version: string
  readonly value: string
  readonly askedMs: number
}

test('a reader that never rests gets no error, and never a version that is neither current nor in grace', { timeout: 90_000 }, async () => {
  const readings: Reading[] = []
  const errors: string[] = []
  const seen = new Set<string>()
  while (seen.size <= rotations) {
    const askedMs = Date.now()
    const { status, text, body } = await broker.ask('GET', '/v1/secrets/app/token')
    if (status === 200) {
      readings.push({ version: body.version, value: body.value, askedMs })
      seen.add(body.version)
    } else errors.push(text)
    if (errors.length > 5) break
    await new Promise(resolve => setTimeout(resolve, 10))
  }
  expect(errors).toEqual([])
  // the chain tells when each version was promoted; the one before it was promised for a second from then on
  await until('the last promotion in the chain', () => (promotions().has(readings.at(-1)?.version ?? '') ? true : undefined))
  const promoted = [...promotions()].sort(([, a], [, b]) => a - b)
  for (const { version, askedMs } of readings) {
    const at = promoted.findIndex(([each]) => each === version)
    const endsMs = (promoted[at + 1]?.[1] ?? Number.POSITIVE_INFINITY) + 1_000
    expect([version, askedMs < endsMs]).toEqual([version, true])
  }
  expect(new Set(readings.map(reading => reading.value)).size).toBe(seen.size)
})

/** When each version was promoted, as the audit chain has it: at the latest. */
function promotions(): Map<string, number> {
  return new Map(
    broker
      .audit()
      .filter(line => line.action === 'rotation.promoted' && line.secret === 'app/token')
      .map(line => [line.version, Date.parse(line.time)]),
  )
}
