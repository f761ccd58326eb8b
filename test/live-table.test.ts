import { expect, test } from 'vitest'
import { asPage, asText, rowsOf, shortfalls } from './live/table.ts'

const lines = [
  { adapter: 'vault', server: 'OpenBao', passed: 0, failed: 0, absent: 'no bao on PATH' },
  { adapter: 'aws', server: 'moto 5', passed: 40, failed: 0, departures: [{ check: 'a size', why: 'it takes any' }] },
  { adapter: 'gcp', server: 'emulator', passed: 0, failed: 0 },
  { adapter: 'vault', server: 'hvac 2 (on our own fake)', passed: 3, failed: 0 },
]
const rows = rowsOf(`${lines.map(line => JSON.stringify(line)).join('\n')}\n`)

test('the table ends with what ran, what was absent and what failed', () => {
  expect(asText(rows).split('\n')).toEqual([
    'adapter           server                    passed  failed',
    'aws               moto 5                    40      0       1 on our fake, see below',
    'gcp               emulator                  0       0',
    'vault             OpenBao                   0       0       absent: no bao on PATH',
    'on our own fakes',
    'vault             hvac 2 (on our own fake)  3       0',
    '',
    'where a server departs from the service, and our own fake was asked instead:',
    'aws, moto 5: a size: it takes any',
    '',
    'rows: 2 run, 1 absent, 0 failed; 1 on our own fakes',
    '',
  ])
  expect(asPage(rows, '2026-01-02')).toContain('| aws | moto 5 | 40 | 0 | 1 on our fake, see below |')
})

test('what is required and absent, and what asked nothing, is no success', () => {
  expect(shortfalls(rows, ['moto', 'OpenBao', 'hvac', 'kubernetes'])).toEqual([
    'required and not run: OpenBao',
    'required and not run: kubernetes',
    'nothing was asked: gcp, emulator',
  ])
  expect(shortfalls(rows.slice(0, 1), ['moto'])).toEqual([])
  expect(shortfalls(rowsOf('{"adapter":"aws","server":"moto","passed":3,"failed":1}'), [])).toEqual(['failed: aws, moto'])
})
