import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { BrokerError, type ErrorCode, remedies } from './error.ts'

const canary = 'hunter2-canary'

test('the raw error behind it is kept for debuggers and printed nowhere', () => {
  const cause = new Error(`POST {"password":"${canary}"}`)
  const error = new BrokerError('unavailable', 'the store is away', { cause, hint: 'wait', retryAfterMs: 5, detail: { store: 'vault' } })
  const shown = [
    JSON.stringify(error),
    String(error),
    inspect(error, { showHidden: true, depth: null }),
    inspect(error, { customInspect: false, showHidden: true, depth: null }),
    inspect({ ...error }),
    inspect(structuredClone(error)),
    inspect(new AggregateError([error])),
  ]
  for (const text of shown) expect(text).not.toContain(canary)
  expect(error.origin).toBe(cause)
  expect(error.cause).toBeUndefined()
})

test('JSON has what a caller may see', () => {
  const error = new BrokerError('conflict', 'another rotation is open', { hint: 'wait', retryAfterMs: 5, detail: { rotation: 'rot_1' } })
  expect(JSON.parse(JSON.stringify(error))).toEqual({
    code: 'conflict',
    message: 'another rotation is open',
    hint: 'wait',
    retryAfterMs: 5,
    detail: { rotation: 'rot_1' },
  })
})

test('is an Error that says its code', () => {
  const error = new BrokerError('corrupt', 'it does not open')
  expect(error).toBeInstanceOf(Error)
  expect(error.name).toBe('BrokerError')
  expect(inspect(error)).toContain('it does not open')
  expect(inspect(error)).toContain('[corrupt]')
})

test.each(Object.entries(remedies))('a caller that gets %s may %s', (code, remedy) => {
  expect(new BrokerError(code as ErrorCode, 'x').remedy).toBe(remedy)
})

test('only what surely did not happen may be sent again', () => {
  const retried = Object.entries(remedies).flatMap(([code, remedy]) => (remedy === 'retry' ? [code] : []))
  expect(retried).toEqual(['throttled', 'unavailable'])
  expect(remedies.outcome_unknown).toBe('reread')
})
