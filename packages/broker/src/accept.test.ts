import { expect, test } from 'vitest'
import { wantsPlain } from './accept.ts'

test.each([
  [undefined, false],
  ['*/*', false],
  ['application/json', false],
  ['text/plain', true],
  ['text/plain; charset=utf-8', true],
  ['text/*', true],
  ['text/plain, application/json', false],
  ['application/json;q=0.5, text/plain', true],
  ['text/plain;q=0.5, application/json;q=0.4', true],
  ['text/plain, */*;q=0.1', true],
  ['text/plain;q=0, */*', false],
  ['text/html, */*;q=0.8', false],
  ['TEXT/PLAIN', true],
] as const)('%s: the bytes alone %s', (accept, plain) => {
  expect(wantsPlain(accept)).toBe(plain)
})

test.each(['image/png', 'application/json;q=0', 'text/plain;q=0', 'text/html', 'text/plain;q=nonsense'])(
  '%s cannot be answered',
  accept => {
    expect(() => wantsPlain(accept)).toThrow(expect.objectContaining({ code: 'invalid_argument', detail: { reason: 'not_acceptable' } }))
  },
)
