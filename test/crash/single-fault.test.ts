import { strategies } from '@keyturn/core'
import { afterAll, expect, test } from 'vitest'
import { modes } from '../simulation/faults.ts'
import { breachesOf, cells, dryRun, shapes } from './matrix.ts'

const counted: { readonly strategy: string; readonly shape: string; readonly calls: number; readonly runs: number }[] = []

test.each(cells)('no single fault harms $strategy on a store with $shape', async cell => {
  const calls = (await dryRun(cell)).length
  counted.push({ ...cell, calls, runs: calls * modes.length })
  expect(await Array.fromAsync(breachesOf(cell))).toEqual([])
  // a dry run with nothing to go wrong would pass for the wrong reason
  expect(calls).toBeGreaterThan(20)
})

afterAll(() => {
  const rows = strategies.map(strategy => {
    const of = counted.filter(row => row.strategy === strategy)
    return `${strategy.padEnd(18)}${Object.keys(shapes)
      .map(shape => String(of.find(row => row.shape === shape)?.calls ?? '-').padStart(12))
      .join('')}`
  })
  const runs = counted.reduce((sum, row) => sum + row.runs, 0)
  const head = `${'outside calls'.padEnd(18)}${Object.keys(shapes)
    .map(shape => shape.padStart(12))
    .join('')}`
  process.stdout.write(
    `\n${[head, ...rows].join('\n')}\nx ${modes.length} modes (${modes.join(', ')}) = ${runs} passages, each with one fault\n`,
  )
})
