import { describe, expect, test } from 'vitest'
import { BrokerError, type ErrorCode } from './error.ts'
import { classifyAlike, TransportError, type TransportFailure } from './transport-error.ts'

describe('a request that got no usable answer', () => {
  test.each<[TransportFailure, number | undefined, ErrorCode]>([
    ['connect', undefined, 'unavailable'],
    ['cut', undefined, 'outcome_unknown'],
    ['redirect', 307, 'unavailable'],
    ['too_large', undefined, 'corrupt'],
    ['foreign', undefined, 'corrupt'],
    ['foreign', 200, 'corrupt'],
    ['foreign', 401, 'corrupt'],
    ['foreign', 404, 'corrupt'],
    ['foreign', 429, 'throttled'],
    ['foreign', 500, 'outcome_unknown'],
    ['foreign', 502, 'outcome_unknown'],
    ['foreign', 503, 'unavailable'],
    ['foreign', 504, 'outcome_unknown'],
  ])('by %s %s is %s', (failure, status, code) => {
    expect(classifyAlike(new TransportError(failure, 'x', { status }))).toEqual({ code })
  })

  test('keeps how long to wait', () => {
    const error = new TransportError('foreign', 'x', { status: 429, retryAfterMs: 2_000 })
    expect(classifyAlike(error)).toEqual({ code: 'throttled', retryAfterMs: 2_000 })
  })

  test('has the code that an adapter gives its own kinds and statuses, and no other changes', () => {
    const own = { failures: { path: 'invalid_argument' }, foreign: { 401: 'unauthenticated' } } as const
    expect(classifyAlike(new TransportError<'path'>('path', 'x'), own)).toEqual({ code: 'invalid_argument' })
    expect(classifyAlike(new TransportError('foreign', 'x', { status: 401 }), own)).toEqual({ code: 'unauthenticated' })
    expect(classifyAlike(new TransportError('foreign', 'x', { status: 503 }), own)).toEqual({ code: 'unavailable' })
    expect(classifyAlike(new TransportError('cut', 'x'), own)).toEqual({ code: 'outcome_unknown' })
    expect(classifyAlike(new TransportError<string>('of no table', 'x'), own)).toEqual({ code: 'internal' })
  })
})

test.each([
  [new BrokerError('conflict', 'x'), { code: 'conflict' }],
  [new BrokerError('throttled', 'x', { retryAfterMs: 5 }), { code: 'throttled', retryAfterMs: 5 }],
  [new DOMException('x', 'AbortError'), { code: 'cancelled' }],
  [new TypeError('x is not a function'), undefined],
  [{ name: 'AbortError' }, undefined],
  [undefined, undefined],
])('%s is %j', (error, named) => {
  expect(classifyAlike(error)).toEqual(named)
})
