import { RestError } from '@azure/core-rest-pipeline'
import { BrokerError } from '@keyturn/core'
import { describe, expect, test } from 'vitest'
import { answerRows, classify } from './classify.ts'
import { cutOf, type Failure, TransportError } from './transport-error.ts'

const rest = (statusCode: number, code?: string, inner?: string) => {
  const error = new RestError('m', { statusCode, ...(code === undefined ? {} : { code }) })
  error.details = { error: { code, innerError: inner === undefined ? undefined : { code: inner } } }
  return error
}

describe('errors of a vault', () => {
  test.each([
    [rest(400, 'BadParameter'), 'invalid_argument'],
    [rest(401, 'Unauthorized'), 'unauthenticated'],
    [rest(403, 'Forbidden', 'SecretDisabled'), 'precondition_failed'],
    [rest(403, 'Forbidden', 'SecretExpired'), 'precondition_failed'],
    [rest(403, 'Forbidden', 'ForbiddenByRbac'), 'permission_denied'],
    [rest(403, 'Forbidden', 'ForbiddenByFirewall'), 'permission_denied'],
    [rest(403, 'Forbidden'), 'permission_denied'],
    [rest(404, 'SecretNotFound'), 'not_found'],
    [rest(404), 'invalid_argument'],
    [rest(409, 'Conflict', 'ObjectIsDeletedButRecoverable'), 'conflict'],
    [rest(413), 'too_large'],
    [rest(429, 'Throttled'), 'throttled'],
    [rest(500), 'outcome_unknown'],
    [rest(502), 'outcome_unknown'],
    [rest(503), 'unavailable'],
    [rest(504), 'outcome_unknown'],
    [rest(418), 'internal'],
    [new BrokerError('too_large', 'm'), 'too_large'],
    [new DOMException('m', 'AbortError'), 'cancelled'],
    [new Error('m'), 'internal'],
    [undefined, 'internal'],
  ])('%#: %s', (error, code) => {
    expect(classify(error).code).toBe(code)
  })

  test.each<[Failure, string]>([
    ['connect', 'unavailable'],
    ['cut', 'outcome_unknown'],
    ['stale', 'outcome_unknown'],
    ['redirect', 'unavailable'],
    ['foreign', 'corrupt'],
    ['too_large', 'corrupt'],
    ['elsewhere', 'corrupt'],
    ['closed', 'cancelled'],
  ])('a request that ended by %s is %s', (failure, code) => {
    expect(classify(new TransportError(failure, 'm')).code).toBe(code)
  })

  test('a page of a proxy keeps the meaning of its status, and its wait', () => {
    const of = (status: number) => classify(new TransportError('foreign', 'm', { status, retryAfterMs: 5 }))
    expect([200, 404, 429, 503, 502].map(status => of(status).code)).toEqual([
      'corrupt',
      'corrupt',
      'throttled',
      'unavailable',
      'outcome_unknown',
    ])
    expect(of(429).retryAfterMs).toBe(5)
  })

  test.each([
    ['ECONNREFUSED', 'connect', 'connect'],
    ['ETIMEDOUT', 'connect', 'connect'],
    ['ENOTFOUND', 'getaddrinfo', 'connect'],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', undefined, 'connect'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', undefined, 'connect'],
    ['ETIMEDOUT', 'read', 'cut'],
    ['UND_ERR_HEADERS_TIMEOUT', undefined, 'cut'],
    ['UND_ERR_BODY_TIMEOUT', undefined, 'cut'],
    ['UND_ERR_RES_EXCEEDED_MAX_SIZE', undefined, 'too_large'],
  ])('%s of %s is a %s', (code, syscall, failure) => {
    expect(cutOf(Object.assign(new Error('m'), { code, syscall }), false)).toMatchObject({ failure })
  })

  test('a connection that ends before the answer is told apart, and no message is taken over', () => {
    for (const code of ['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET']) {
      const error = Object.assign(new Error('a body with a value'), { code })
      expect(cutOf(error, false)).toMatchObject({ failure: 'stale', message: `no whole answer came (${code})` })
      expect(cutOf(error, true)).toMatchObject({ failure: 'cut', message: `no whole answer came (${code})` })
    }
  })

  test('every row says where it is from, and stands before the default of its status', () => {
    const defaults = new Set<number>()
    for (const row of answerRows) {
      expect(row.from).not.toBe('')
      expect([row.status, defaults.has(row.status)]).toEqual([row.status, false])
      if (row.inner === undefined && row.said === undefined) defaults.add(row.status)
    }
  })
})
