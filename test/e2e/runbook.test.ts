import { afterAll, beforeAll, test } from 'vitest'
import { Procedure } from './runbook/procedure.ts'

let procedure: Procedure
beforeAll(async () => {
  procedure = await Procedure.make({ brokers: 1, secrets: 200 })
})
afterAll(() => procedure.end())

test('the KEK runbook, embedded: every line of it, with readers all the time', { timeout: 180_000 }, async () => {
  await procedure.follow({ readsMin: 200 })
})
