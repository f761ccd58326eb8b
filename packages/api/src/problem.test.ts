import { inspect } from 'node:util'
import { BrokerError, type ErrorCode, remedies } from '@keyturn/core'
import { describe, expect, test } from 'vitest'
import { blamesBackend, errorOf, problemAnswer, problemOf, problemType, statusOf } from './problem.ts'
import { problem as problemSchema } from './problem-schema.ts'

const table: Record<ErrorCode, number> = {
  invalid_argument: 400,
  unauthenticated: 401,
  permission_denied: 403,
  not_found: 404,
  unsupported: 501,
  conflict: 409,
  outcome_unknown: 504,
  throttled: 429,
  unavailable: 503,
  precondition_failed: 412,
  too_large: 413,
  corrupt: 502,
  cancelled: 499,
  internal: 500,
}

describe('the status of an error', () => {
  test.each(Object.entries(table))('%s is %i', (code, status) => {
    expect(statusOf(new BrokerError(code as ErrorCode, 'why'))).toBe(status)
  })

  test.each([
    ['unauthenticated', { store: 'vault' }, 502],
    ['permission_denied', { store: 'vault' }, 502],
    ['permission_denied', { issuer: 'orders-db' }, 502],
    ['permission_denied', { action: 'read' }, 403],
    ['not_found', { store: 'vault' }, 404],
    ['conflict', { store: 'vault' }, 409],
    ['too_large', { store: 'aws' }, 422],
    ['invalid_argument', { reason: 'not_representable', store: 'aws' }, 422],
    ['invalid_argument', { reason: 'not_acceptable' }, 406],
    ['invalid_argument', { reason: 'unsupported_media_type' }, 415],
    ['invalid_argument', { reason: 'method_not_allowed' }, 405],
    ['invalid_argument', { reason: 'json_too_complex' }, 400],
    ['invalid_argument', { reason: 'constructor' }, 400],
    ['unavailable', { kekId: 'k1' }, 503],
    ['conflict', { reason: 'not_acceptable' }, 409],
  ] as const)('%s with %j is %i', (code, detail, status) => {
    expect(statusOf(new BrokerError(code, 'why', { detail }))).toBe(status)
  })
})

describe('a problem document', () => {
  test('has every member that the wire names', () => {
    const error = new BrokerError('conflict', 'a rotation is open', {
      hint: 'wait for it',
      retryAfterMs: 1200,
      detail: { op: 'op_1', earliest: new Date('2026-11-20T03:00:00Z') },
    })
    const problem = problemOf(error, 'req_1')
    expect(problem).toEqual({
      type: 'urn:keyturn:conflict',
      title: 'Someone else was first',
      status: 409,
      detail: 'a rotation is open',
      code: 'conflict',
      hint: 'wait for it',
      requestId: 'req_1',
      retryAfter: 2,
      particulars: { op: 'op_1', earliest: '2026-11-20T03:00:00.000Z' },
    })
    expect(problemAnswer(problem)).toEqual({
      status: 409,
      headers: { 'content-type': problemType, 'cache-control': 'no-store', 'retry-after': '2' },
      body: JSON.stringify(problem),
    })
  })

  test.each(Object.keys(remedies) as ErrorCode[])('of %s fits its schema', code => {
    const problem = problemOf(new BrokerError(code, 'why', { hint: 'do', retryAfterMs: 0, detail: { store: 'vault' } }), 'req_1', [
      { path: 'a', message: 'b' },
    ])
    expect(problemSchema.parse(JSON.parse(JSON.stringify(problem)))).toEqual(problem)
  })

  test('of a refused precondition shows what is current', () => {
    const detail = { current: '8' }
    expect(problemOf(new BrokerError('conflict', 'the secret has changed', { detail }), 'r').detail).toBe(
      'the secret has changed; current is 8',
    )
    expect(problemOf(new BrokerError('conflict', 'current is 8 by now', { detail }), 'r').detail).toBe('current is 8 by now')
  })

  test('holds nothing of a cause, nor of an error that is no BrokerError', () => {
    const cause = Object.assign(new Error('hunter2'), { config: { data: 'hunter2' } })
    for (const thrown of [
      new BrokerError('unavailable', 'store vault: read failed', { cause }),
      cause,
      'hunter2',
      { message: 'hunter2' },
      undefined,
    ]) {
      const problem = problemOf(thrown, 'req_1')
      expect(JSON.stringify(problem) + inspect(problem, { depth: 9, showHidden: true })).not.toContain('hunter2')
      expect(problem.code).toBe(thrown instanceof BrokerError ? 'unavailable' : 'internal')
    }
  })

  test('of a missing token asks for one', () => {
    expect(problemAnswer(problemOf(new BrokerError('unauthenticated', 'no token'), 'r')).headers['www-authenticate']).toBe('Bearer')
    const blamed = problemOf(new BrokerError('unauthenticated', 'vault refused the token', { detail: { store: 'vault' } }), 'r')
    expect(problemAnswer(blamed).headers['www-authenticate']).toBeUndefined()
  })
})

describe('an answer read by a client', () => {
  test.each(Object.keys(remedies) as ErrorCode[])('is the error that was thrown: %s', code => {
    const thrown = new BrokerError(code, 'why', { hint: 'do this', retryAfterMs: 3000, detail: { store: 'vault', current: '7' } })
    const problem = problemOf(thrown, 'req_1')
    const seen = errorOf({ status: problem.status, body: JSON.parse(problemAnswer(problem).body), effect: 'read' })
    expect({ code: seen.code, hint: seen.hint, retryAfterMs: seen.retryAfterMs }).toEqual({ code, hint: 'do this', retryAfterMs: 3000 })
    expect(seen.detail).toEqual({ store: 'vault', current: '7', requestId: 'req_1' })
    expect(statusOf(seen)).toBe(problem.status)
    expect(blamesBackend(seen)).toBe(blamesBackend(thrown))
  })

  test('keeps the complaints about a request', () => {
    const errors = [{ path: 'limit', message: 'too big' }]
    const body = JSON.parse(JSON.stringify(problemOf(new BrokerError('invalid_argument', 'why'), 'r', errors)))
    expect(errorOf({ status: 400, body, effect: 'read' }).detail).toEqual({ requestId: 'r', errors })
  })

  test.each([
    [502, 'read', 'unavailable'],
    [502, 'write', 'outcome_unknown'],
    [504, 'write', 'outcome_unknown'],
    [503, 'write', 'unavailable'],
    [500, 'read', 'internal'],
    [401, 'read', 'unauthenticated'],
    [404, 'read', 'not_found'],
    [418, 'read', 'invalid_argument'],
    [422, 'write', 'invalid_argument'],
    [520, 'read', 'internal'],
    [302, 'read', 'internal'],
  ] as const)('that is no problem document, %i to a %s, is %s', (status, effect, code) => {
    for (const body of [
      undefined,
      '<html>hunter2</html>',
      null,
      [],
      { code: 'hunter2', detail: 'hunter2' },
      { code: 'toString', detail: 'x' },
      { code: 'conflict' },
    ]) {
      const error = errorOf({ status, body, effect })
      expect(error.code).toBe(code)
      expect(JSON.stringify(error)).not.toContain('hunter2')
    }
  })
})
