import { expect, test } from 'vitest'
import { fuzzConfig } from '../../packages/config/test/fuzz.ts'

test('100,000 random and mutated configs: a config or a ConfigError, soon, and never the value of a variable', async () => {
  const run = await fuzzConfig(100_000, 1_000_000)
  expect(run.faults).toEqual([])
  expect(run.loaded).toBeGreaterThan(1_000)
})
