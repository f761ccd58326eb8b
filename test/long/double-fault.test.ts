import { expect, test } from 'vitest'
import { cells, doubleFaults } from '../crash/matrix.ts'

// KEYTURN_SAMPLE=n takes every nth pair, for a quick look
const step = Number(process.env.KEYTURN_SAMPLE ?? 1)

test.each(cells)('no two faults harm $strategy on a store with $shape', { timeout: 3_600_000 }, async cell => {
  const { runs, breaches } = await doubleFaults(cell, step)
  process.stdout.write(`${cell.strategy} on ${cell.shape}: ${runs} passages, each with two faults\n`)
  expect(breaches).toEqual([])
})
