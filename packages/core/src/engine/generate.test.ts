import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SecretValue, textOf } from '../secret-value.ts'
import { generateValue } from './generate.ts'
import type { RotationSettings } from './target.ts'

const random = { bytes: (count: number) => randomBytes(count), uuid: () => '' }
const settings = (renew: readonly string[] | null, generate: RotationSettings['generate']): RotationSettings => ({
  type: 'generic',
  everyMs: null,
  graceMs: 0,
  generate,
  renew,
  rules: { windows: [], freezes: [] },
  distributeMs: 0,
  approval: false,
})
const short = { bytes: 8, encoding: 'hex' } as const

function texts(value: SecretValue): Record<string, string | undefined> {
  const content = value.reveal()
  return 'field' in content
    ? { '': textOf(content.field) }
    : Object.fromEntries([...content.fields].map(([name, field]) => [name, textOf(field)]))
}

test('is as many random bytes as were asked for, in one line of their encoding', () => {
  const encodings = fc.constantFrom('base64url' as const, 'base64' as const, 'hex' as const)
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 128 }), encodings, (bytes, encoding) => {
      const text = texts(generateValue(settings(null, { bytes, encoding }), null, random))[''] ?? ''
      expect(Buffer.from(text, encoding)).toHaveLength(bytes)
      expect(text).toMatch({ base64url: /^[\w-]+$/, base64: /^[A-Za-z0-9+/]+=*$/, hex: /^[0-9a-f]+$/ }[encoding])
    }),
  )
})

test('renews the named fields, each with a value of its own, and leaves the others byte for byte', () => {
  const current = SecretValue.fields({ user: 'app', password: 'old', token: 'old', port: { json: '5432' } })
  const made = generateValue(settings(['password', 'token'], short), current, random)
  const { password, token } = texts(made)
  expect(password).toMatch(/^[0-9a-f]{16}$/)
  expect(token).toMatch(/^[0-9a-f]{16}$/)
  expect(password).not.toBe(token)
  expect(made.equals(current.with({ password: password ?? '', token: token ?? '' }))).toBe(true)
})

test('makes the first value of the named fields alone', () => {
  expect(generateValue(settings(['b', 'a'], short), null, random).fieldNames).toEqual(['a', 'b'])
})

test('does not guess which of several fields is the secret', () => {
  const current = SecretValue.fields({ password: 'old' })
  expect(() => generateValue(settings(null, short), current, random)).toThrow(expect.objectContaining({ code: 'precondition_failed' }))
})

test('does not turn one unnamed field into several', () => {
  const current = SecretValue.text('old')
  expect(() => generateValue(settings(['password'], short), current, random)).toThrow(expect.objectContaining({ code: 'invalid_argument' }))
})
