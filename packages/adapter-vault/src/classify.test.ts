import { BrokerError } from '@keyturn/core'
import { describe, expect, test } from 'vitest'
import { Answer } from './answer.ts'
import { answerRows, classify } from './classify.ts'
import { JsonError } from './json-source.ts'
import { type Failure, TransportError } from './transport.ts'

/** As node-vault throws it. */
function answered(status: number, body: object, retryAfterMs?: number): Error {
  const answer = Answer.read(JSON.stringify(body), [], retryAfterMs)
  return Object.assign(new Error('x'), { response: { statusCode: status, body: answer } })
}

describe('an answer of the server', () => {
  test.each([
    [400, ['check-and-set parameter did not match the current version'], 'conflict'],
    [400, ['check-and-set parameter required for this call'], 'invalid_argument'],
    [400, ['no data provided'], 'invalid_argument'],
    [403, ['1 error occurred:\n\t* permission denied\n\n'], 'permission_denied'],
    [404, [], 'not_found'],
    [404, ['no handler for route "x/data/y". route entry not found.'], 'invalid_argument'],
    [405, ['unsupported operation'], 'unsupported'],
    [412, ['required index state not present'], 'unavailable'],
    [413, ['http: request body too large'], 'too_large'],
    [429, ['rate limit quota exceeded'], 'throttled'],
    [500, ['internal error'], 'outcome_unknown'],
    [502, [], 'outcome_unknown'],
    [503, ['Vault is sealed'], 'unavailable'],
    [504, [], 'outcome_unknown'],
    [418, [], 'internal'],
  ])('%i %j is %s', (status, errors, code) => {
    expect(classify(answered(status, { errors })).code).toBe(code)
  })

  test('says where each row was taken from', () => {
    for (const row of answerRows) expect(row.from).toMatch(/^https:|^openbao |^RFC /)
  })

  test('carries how long to wait', () => {
    expect(classify(answered(429, { errors: [] }, 2_000))).toEqual({ code: 'throttled', retryAfterMs: 2_000 })
  })
})

describe('a request without an answer', () => {
  test.each<[Failure, number | undefined, string]>([
    ['connect', undefined, 'unavailable'],
    ['cut', undefined, 'outcome_unknown'],
    ['redirect', 307, 'unavailable'],
    ['path', undefined, 'invalid_argument'],
    ['too_large', undefined, 'corrupt'],
    ['foreign', 200, 'corrupt'],
    ['foreign', 403, 'corrupt'],
    ['foreign', 404, 'corrupt'],
    ['foreign', 429, 'throttled'],
    ['foreign', 500, 'outcome_unknown'],
    ['foreign', 502, 'outcome_unknown'],
    ['foreign', 503, 'unavailable'],
    ['foreign', 504, 'outcome_unknown'],
  ])('%s %s is %s', (failure, status, code) => {
    expect(classify(new TransportError(failure, 'x', status === undefined ? {} : { status })).code).toBe(code)
  })
})

test.each([
  [new BrokerError('conflict', 'x'), 'conflict'],
  [new JsonError('x'), 'corrupt'],
  [new DOMException('x', 'AbortError'), 'cancelled'],
  [new TypeError('x is not a function'), 'internal'],
  [Object.assign(new Error('x'), { response: { statusCode: 404 } }), 'internal'],
  ['a text', 'internal'],
  [undefined, 'internal'],
])('%s is %s', (error, code) => {
  expect(classify(error).code).toBe(code)
})
