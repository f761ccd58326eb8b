import { afterAll, expect, test } from 'vitest'
import { breachesOn, faultsAt, placesOn } from './adapter-matrix.ts'
import { graceOn, outsiderOn } from './adapter-scenarios.ts'
import { cells } from './backends/all.ts'

const counted: { readonly title: string; readonly calls: number; readonly requests: number; readonly faults: number }[] = []

test.each(cells)('no single fault harms $strategy on $name', { timeout: 120_000 }, async ({ backend, strategy, name, where }) => {
  const places = await placesOn(backend, strategy)
  const faults = faultsAt(places, where)
  const { calls, requests } = places
  counted.push({ title: `${strategy} on ${name}`, calls: calls.length, requests: requests.length, faults: faults.length })
  expect(await Array.fromAsync(breachesOn(backend, strategy, faults))).toEqual([])
  // a rotation that calls its store less than this has not rotated
  expect(calls.length).toBeGreaterThanOrEqual(7)
})

test.each(cells)('a rotation with grace passes: $strategy on $name', async ({ backend, strategy }) => {
  expect(await graceOn(backend, strategy)).toEqual([])
})

test.each(cells)('what someone else wrote meanwhile stays: $strategy on $name', async ({ backend, strategy }) => {
  expect(await outsiderOn(backend, strategy)).toEqual([])
})

afterAll(() => {
  const rows = counted.map(({ title, calls, requests, faults }) =>
    [title.padEnd(50), ...[calls, requests, faults].map(count => String(count).padStart(10))].join(''),
  )
  const head = [''.padEnd(50), ...['calls', 'requests', 'faults'].map(word => word.padStart(10))].join('')
  process.stdout.write(`\n${[head, ...rows].join('\n')}\n`)
})
