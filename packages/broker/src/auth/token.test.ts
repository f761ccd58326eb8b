import { createSecretKey } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { pooledRandom } from '../random.ts'
import { isToken, makeToken, tokenMac } from './token.ts'

const random = pooledRandom()

test('a token has the form that scanners know, and no two are alike', () => {
  const tokens = Array.from({ length: 500 }, () => makeToken(random))
  for (const token of tokens) {
    expect(token).toMatch(/^kt_[A-Za-z0-9_-]{43}[0-9a-z]{6}$/)
    expect(isToken(token)).toBe(true)
  }
  expect(new Set(tokens).size).toBe(500)
})

test('a token with one character changed is none', () => {
  const token = makeToken(random)
  fc.assert(
    fc.property(fc.nat(token.length - 1), fc.constantFrom(...'aZ09-_'), (at, character) => {
      fc.pre(token[at] !== character)
      expect(isToken(token.slice(0, at) + character + token.slice(at + 1))).toBe(false)
    }),
  )
})

test('any other text is no token', () => {
  fc.assert(fc.property(fc.string(), text => !isToken(text)))
})

test('what is stored depends on the key and the whole token', () => {
  const [key, other] = [createSecretKey(Buffer.alloc(32, 1)), createSecretKey(Buffer.alloc(32, 2))]
  const token = makeToken(random)
  expect(tokenMac(key, token)).toHaveLength(32)
  expect(tokenMac(key, token)).toEqual(tokenMac(key, token))
  expect(tokenMac(key, token)).not.toEqual(tokenMac(other, token))
  expect(tokenMac(key, token)).not.toEqual(tokenMac(key, makeToken(random)))
})
