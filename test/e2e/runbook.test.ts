import { afterAll, beforeAll, expect, test } from 'vitest'
import { Procedure } from './runbook/procedure.ts'

let procedure: Procedure
beforeAll(async () => {
  procedure = await Procedure.make({ brokers: 1, secrets: 200 })
})
afterAll(() => procedure.end())

test('the KEK runbook, embedded: every line of it, with readers all the time', { timeout: 180_000 }, async () => {
  await procedure.begin()
  await procedure.promote()
  await procedure.rewrap()
  await procedure.watch()
  await procedure.retire()
  await procedure.remove()
  expect(procedure.readers.failures).toEqual([])
  expect(procedure.readers.reads).toBeGreaterThan(200)
  await procedure.removedTooEarly()
})
