import { inspect } from 'node:util'
import { BrokerError } from '@keyturn/core'
import { describe, expect, test } from 'vitest'
import { answerRows, classify } from './classify.ts'
import { failure } from './failure.ts'
import { StatusError } from './status.ts'
import { TransportError } from './transport.ts'

const status = (code: number, body: object = {}, retryAfterMs?: number) => new StatusError(code, { kind: 'Status', ...body }, retryAfterMs)

describe('an answer of the API server', () => {
  test.each([
    [status(401, { reason: 'Unauthorized' }), 'unauthenticated'],
    [status(403, { reason: 'Forbidden', message: 'secrets "x" is forbidden: User "system:anonymous" cannot get' }), 'unauthenticated'],
    [status(403, { reason: 'Forbidden', message: 'secrets "x" is forbidden: User "broker" cannot get' }), 'permission_denied'],
    [status(403, { reason: 'Forbidden', details: { causes: [{ reason: 'NamespaceTerminating' }] } }), 'precondition_failed'],
    [status(404, { reason: 'NotFound', details: { kind: 'secrets' } }), 'not_found'],
    [status(404, { reason: 'NotFound', details: { kind: 'namespaces' } }), 'precondition_failed'],
    [status(404, { reason: 'NotFound', details: {} }), 'unsupported'],
    [status(404, { details: { kind: 'secrets' } }), 'unsupported'],
    [status(406, { reason: 'NotAcceptable' }), 'unsupported'],
    [status(409, { reason: 'AlreadyExists' }), 'conflict'],
    [status(409, { reason: 'Conflict' }), 'conflict'],
    [status(410, { reason: 'Expired' }), 'unavailable'],
    [status(413, { reason: 'RequestEntityTooLarge' }), 'too_large'],
    [status(422, { reason: 'Invalid', message: 'data: Forbidden: field is immutable when `immutable` is set' }), 'precondition_failed'],
    [status(422, { reason: 'Invalid', details: { causes: [{ reason: 'FieldValueTooLong', field: 'data' }] } }), 'too_large'],
    [status(422, { reason: 'Invalid' }), 'invalid_argument'],
    [status(429, { reason: 'TooManyRequests' }), 'throttled'],
    [status(500, { reason: 'InternalError' }), 'outcome_unknown'],
    [status(500, { reason: 'InternalError', message: 'etcdserver: request is too large' }), 'too_large'],
    [status(503, { reason: 'ServiceUnavailable' }), 'unavailable'],
    [status(504, { reason: 'Timeout' }), 'outcome_unknown'],
    [status(418, { reason: 'Teapot' }), 'internal'],
  ])('%s is %s', (error, code) => {
    expect(classify(error).code).toBe(code)
  })

  test('says how long to wait, in its header or in its details', () => {
    expect(classify(status(429, {}, 2_000))).toEqual({ code: 'throttled', retryAfterMs: 2_000 })
    expect(classify(status(429, { details: { retryAfterSeconds: 3 } }))).toEqual({ code: 'throttled', retryAfterMs: 3_000 })
  })

  test('never brings out what it repeats of a request', () => {
    const canary = 'canary-7d1f'
    const bodies = [
      { reason: 'BadRequest', message: `illegal base64 data ... |:"${canary}"}}|` },
      { reason: 'Forbidden', message: `admission webhook "x" denied the request: ${canary}` },
      {
        reason: `Forbidden ${canary}!`,
        details: { kind: `${canary} !`, causes: [{ reason: `${canary}?`, field: `data[${canary} x]`, message: canary }] },
      },
    ]
    for (const body of bodies) {
      for (const code of [400, 403, 422]) {
        const error = status(code, body)
        const told = failure({ verb: 'update', namespace: 'shop', name: 'x' }, error)
        const printed = [error, told].flatMap(each => [
          String(each),
          inspect(each, { depth: 9 }),
          JSON.stringify(each),
          (each as Error).stack,
        ])
        expect(printed.join('\n')).not.toContain(canary)
      }
    }
  })

  test('every row says where it was taken from, and none hides another', () => {
    for (const [at, row] of answerRows.entries()) {
      expect(row.from).not.toBe('')
      const isDefault = row.reason === undefined && row.cause === undefined && row.tell === undefined && row.kind === undefined
      if (isDefault) expect(answerRows.findLastIndex(each => each.status === row.status)).toBe(at)
    }
  })
})

describe('what is no answer of the API server', () => {
  test.each([
    [new TransportError('connect', 'x'), 'unavailable'],
    [new TransportError('cut', 'x'), 'outcome_unknown'],
    [new TransportError('redirect', 'x', { status: 307 }), 'unavailable'],
    [new TransportError('too_large', 'x'), 'corrupt'],
    [new TransportError('foreign', 'x', { status: 200 }), 'corrupt'],
    [new TransportError('foreign', 'x', { status: 404 }), 'corrupt'],
    [new TransportError('foreign', 'x', { status: 403 }), 'corrupt'],
    [new TransportError('foreign', 'x', { status: 503 }), 'unavailable'],
    [new TransportError('foreign', 'x', { status: 504 }), 'outcome_unknown'],
    [new BrokerError('conflict', 'x'), 'conflict'],
    [new Error('what nobody foresaw'), 'internal'],
    [undefined, 'internal'],
  ])('%s is %s', (error, code) => {
    expect(classify(error).code).toBe(code)
  })
})
