import { BrokerError, type ErrorCode } from '@keyturn/core'
import { describe, expect, test } from 'vitest'
import { classify, readable, rows } from './classify.ts'
import { WireError } from './wire.ts'

const said = (
  name: string,
  { message = '', status = 400, headers = {} }: { message?: string; status?: number; headers?: Record<string, string> } = {},
) => Object.assign(new Error(message), { name, $fault: 'client', $metadata: { httpStatusCode: status }, $response: { headers } })

describe('errors of AWS', () => {
  test.each(rows.filter(({ text }) => text === undefined))('$name is $code', ({ name, code, from }) => {
    // whatever the status: moto says 404 where AWS says 400
    for (const status of [400, 403, 404, 500]) expect(classify(said(name, { status }))).toEqual({ code })
    expect(from).toMatch(/https:\/\//)
  })

  test.each([
    "You can't perform this operation on the secret because it was marked for deletion.",
    "You tried to perform the operation on a secret that's currently marked deleted.",
    "You can't create this secret because a secret with this name is already scheduled for deletion.",
  ])('InvalidRequestException is not_found where it says: %s', message => {
    expect(classify(said('InvalidRequestException', { message }))).toEqual({ code: 'not_found' })
  })

  test('no row is there twice', () => {
    const keys = rows.map(({ name, text }) => `${name} ${text?.source ?? ''}`)
    expect(new Set(keys).size).toBe(keys.length)
  })

  test.each<[number, ErrorCode]>([
    [500, 'outcome_unknown'],
    [502, 'outcome_unknown'],
    [503, 'unavailable'],
    [504, 'outcome_unknown'],
    [429, 'throttled'],
    [400, 'internal'],
    [404, 'internal'],
  ])('a name that is in no row counts by its status %i alone where that tells', (status, code) => {
    expect(classify(said('WhatNobodyForesaw', { status }))).toEqual({ code })
  })

  test('what AWS asks to wait is told', () => {
    expect(classify(said('ThrottlingException', { headers: { 'retry-after': '3' } }))).toEqual({ code: 'throttled', retryAfterMs: 3_000 })
    expect(classify(said('ThrottlingException', { headers: { 'x-amz-retry-after': '250' } }))).toEqual({
      code: 'throttled',
      retryAfterMs: 250,
    })
    expect(classify(said('ThrottlingException', { headers: { 'retry-after': 'Wed, 21 Oct 2026 07:28:00 GMT' } }))).toEqual({
      code: 'throttled',
    })
  })

  test.each<[WireError, ErrorCode]>([
    [new WireError('connect', ''), 'unavailable'],
    [new WireError('cut', ''), 'outcome_unknown'],
    [new WireError('redirect', '', { status: 307 }), 'unavailable'],
    [new WireError('too_large', ''), 'corrupt'],
    [new WireError('foreign', '', { status: 200 }), 'corrupt'],
    [new WireError('foreign', '', { status: 404 }), 'corrupt'],
    [new WireError('foreign', '', { status: 500 }), 'outcome_unknown'],
    [new WireError('foreign', '', { status: 503 }), 'unavailable'],
  ])('%o is %s', (error, code) => {
    expect(classify(error)).toEqual({ code })
  })

  test('names of their own and stops keep what they are', () => {
    expect(classify(new BrokerError('throttled', 'x', { retryAfterMs: 5 }))).toEqual({ code: 'throttled', retryAfterMs: 5 })
    expect(classify(Object.assign(new Error(''), { name: 'AbortError' }))).toEqual({ code: 'cancelled' })
  })

  test('an error of the SDK that quotes an answer is put away with its quotation', () => {
    const quoting = Object.assign(new SyntaxError('Unexpected token in "canary-value"'), { $response: { statusCode: 200, headers: {} } })
    const told = readable(quoting)
    expect(told).toBeInstanceOf(WireError)
    expect(String(told)).not.toContain('canary-value')
  })
})
