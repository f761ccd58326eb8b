import { BrokerError } from '@keyturn/core'
import { expect, test } from 'vitest'
import { isContended, postgresError } from './classify.ts'

const raw = (code: string | undefined) => Object.assign(new Error('says "hidden-71" in so many words'), code === undefined ? {} : { code })

test.each([
  ['ECONNREFUSED', 'connect', 'unavailable'],
  [undefined, 'connect', 'unavailable'],
  ['ECONNRESET', 'statement', 'unavailable'],
  ['EPIPE', 'statement', 'unavailable'],
  [undefined, 'statement', 'unavailable'],
  ['08006', 'statement', 'unavailable'],
  ['28P01', 'connect', 'unavailable'],
  ['3D000', 'connect', 'unavailable'],
  ['53100', 'statement', 'unavailable'],
  ['53300', 'connect', 'unavailable'],
  ['57014', 'statement', 'unavailable'],
  ['57P01', 'statement', 'unavailable'],
  ['57P03', 'connect', 'unavailable'],
  ['58030', 'statement', 'unavailable'],
  ['25006', 'statement', 'unavailable'],
  ['40P01', 'statement', 'unavailable'],
  ['42501', 'statement', 'permission_denied'],
  ['22021', 'statement', 'invalid_argument'],
  ['XX001', 'statement', 'corrupt'],
  ['23505', 'statement', 'internal'],
  ['42P01', 'statement', 'internal'],
  // the commit went out, and nobody knows
  ['ECONNRESET', 'commit', 'outcome_unknown'],
  ['EPIPE', 'commit', 'outcome_unknown'],
  [undefined, 'commit', 'outcome_unknown'],
  ['08006', 'commit', 'outcome_unknown'],
  ['57P01', 'commit', 'outcome_unknown'],
  // the server refused it
  ['23505', 'commit', 'internal'],
  ['40001', 'commit', 'unavailable'],
  ['53100', 'commit', 'unavailable'],
] as const)('%s at a %s is %s', (code, step, expected) => {
  const error = postgresError(raw(code), step, 'ledger')
  expect(error.code).toBe(expected)
  expect(JSON.stringify(error) + error.message + error.stack).not.toContain('hidden-71')
})

test('what the ledger itself refuses stays as it is', () => {
  const refusal = new BrokerError('conflict', 'no')
  expect(postgresError(refusal, 'commit', 'ledger')).toBe(refusal)
})

test('a deadlock may be tried again, a broken connection may not', () => {
  expect(isContended(postgresError(raw('40P01'), 'statement', 'ledger'))).toBe(true)
  expect(isContended(raw('40001'))).toBe(true)
  expect(isContended(postgresError(raw('ECONNRESET'), 'statement', 'ledger'))).toBe(false)
  expect(isContended(new Error('other'))).toBe(false)
})
