import { BrokerError } from '@keyturn/core'
import { describe, expect, test } from 'vitest'
import { classify, statusRows } from './classify.ts'

const answer = (code: number, details: string, more: object = {}) =>
  Object.assign(new Error(`${code} NAME: ${details}`), { code, details, ...more })

describe('a status', () => {
  test.each([
    // as grpc-js says them, where nothing went out
    [14, 'No connection established. Last error: connect ECONNREFUSED 127.0.0.1:1. Resolution note: ', 'unavailable'],
    [14, 'Name resolution failed for target dns:host.invalid:443', 'unavailable'],
    [14, 'Stream refused by server', 'unavailable'],
    [14, 'Failed to start HTTP/2 stream with error "x"', 'unavailable'],
    [14, 'Received HTTP status code 503', 'unavailable'],
    // where it may have been acted on
    [14, 'Connection dropped', 'outcome_unknown'],
    [14, 'read ECONNRESET', 'outcome_unknown'],
    [14, 'The service is currently unavailable.', 'outcome_unknown'],
    [14, 'Received HTTP status code 502', 'outcome_unknown'],
    [4, 'Deadline exceeded after 0.1s', 'outcome_unknown'],
    [13, 'Internal error encountered.', 'outcome_unknown'],
    [2, 'Stream removed', 'outcome_unknown'],
    [2, 'Received HTTP status code 500', 'outcome_unknown'],
    // of something that is not the service
    [2, 'Received HTTP status code 302', 'corrupt'],
    [7, 'Received HTTP status code 403', 'corrupt'],
    [12, 'Received HTTP status code 404', 'corrupt'],
    [13, 'Received HTTP status code 400', 'corrupt'],
    [13, 'Received RST_STREAM with code 0 (Call ended without gRPC status)', 'corrupt'],
    [8, 'Received message larger than max (1752460652 vs 67108864)', 'corrupt'],
    [15, '', 'corrupt'],
    // of the service: https://github.com/external-secrets/external-secrets/issues/4042, blackwell's emulator
    [3, 'Secret Payload cannot be empty.', 'invalid_argument'],
    [5, 'Secret [projects/4711/secrets/app] not found or has no versions.', 'not_found'],
    [6, 'Secret [projects/4711/secrets/app] already exists.', 'conflict'],
    [
      7,
      "Permission 'secretmanager.versions.access' denied for resource 'projects/p/secrets/app/versions/latest' (or it may not exist).",
      'permission_denied',
    ],
    [8, 'Quota exceeded for quota metric', 'throttled'],
    [8, 'grpc: received message larger than max (5242925 vs. 4194304)', 'too_large'],
    [9, 'Secret Version [projects/4711/secrets/app/versions/3] is in DISABLED state.', 'precondition_failed'],
    [9, 'The etag does not match', 'conflict'],
    [10, 'Too much contention', 'conflict'],
    [12, 'unknown method', 'unsupported'],
    [16, 'Request had invalid authentication credentials.', 'unauthenticated'],
    [1, 'Cancelled on client', 'cancelled'],
    [11, 'Out of range', 'internal'],
    [99, 'of no table', 'internal'],
  ])('%i %s is %s', (code, details, named) => {
    expect(classify(answer(code, details))).toEqual({ code: named })
    // as gax makes it, without details
    expect(classify(Object.assign(new Error(`${code} NAME: ${details}`), { code }))).toEqual({ code: named })
  })

  test('has every row from somewhere, and none that an earlier one hides', () => {
    for (const [index, row] of statusRows.entries()) {
      expect(row.from).not.toBe('')
      const hidden = statusRows.slice(0, index).some(each => each.status === row.status && each.text === undefined)
      expect(hidden).toBe(false)
    }
  })

  test.each([
    [[{ retryDelay: { seconds: '3', nanos: 500_000_000 } }], 3_500],
    [[{ reason: 'RATE_LIMIT_EXCEEDED' }, { retryDelay: { seconds: 1 } }], 1_000],
    [[{ retryDelay: { seconds: 0, nanos: 1 } }], 1],
    [[{ retryDelay: { seconds: -1 } }], undefined],
    [[{ retryDelay: { seconds: 'soon' } }], undefined],
    [[{ retryDelay: null }], undefined],
    ['no list', undefined],
  ])('with the details %j says to wait %s ms', (statusDetails, wait) => {
    expect(classify(answer(8, 'Quota exceeded', { statusDetails }))).toEqual({
      code: 'throttled',
      ...(wait === undefined ? {} : { retryAfterMs: wait }),
    })
  })
})

test.each([
  [new BrokerError('not_found', 'x'), 'not_found'],
  [new DOMException('x', 'AbortError'), 'cancelled'],
  [Object.assign(new Error('x'), { code: 'ENOENT' }), 'internal'],
  [{ code: 5 }, 'internal'],
  ['5 NOT_FOUND', 'internal'],
])('%s is %s', (error, code) => {
  expect(classify(error).code).toBe(code)
})
