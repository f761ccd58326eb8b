import { expect, test } from 'vitest'
import { fuzzConfig } from '../test/fuzz.ts'

test('2,000 random and mutated inputs: a config or a ConfigError, soon, and never the value of a variable', async () => {
  const run = await fuzzConfig(2_000, 1)
  expect(run.faults).toEqual([])
  // both sides of the parser were reached
  expect(run.loaded).toBeGreaterThan(20)
  expect(run.refused).toBeGreaterThan(1_000)
}, 120_000)
