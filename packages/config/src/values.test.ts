import type { SecretName } from '@keyturn/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { complaintsOf, load } from '../test/files.ts'

const row = async (text: string, env = {}) => {
  const config = await load(`database: {}\nsecrets:\n  app/key:\n    type: service-token\n    ${text}\n`, { env })
  const secret = config.secrets.get('app/key' as SecretName)
  if (secret === undefined) throw new Error('the row was read')
  return secret
}
const variable = (name: string) => `\${${name}}`

describe('where text is wanted, a value stays as it was typed', () => {
  test.each(['0777', '1.10', '12e03', '9007199254740993', '0x1F', 'true', 'yes', '2026-01-01', '1_000', '.5', '+1'])('%s', async text => {
    expect((await row(`owner: ${text}`)).owner).toBe(text)
    expect((await row(`labels: { tier: ${text} }`)).labels).toEqual({ tier: text })
    expect((await row(`owner: ${variable('V')}`, { V: text })).owner).toBe(text)
  })

  test('any text, in quotes or from a variable', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ minLength: 1, unit: 'grapheme' }), async text => {
        if (!text.includes('$') && text.isWellFormed()) {
          expect(
            (await row(`owner: ${JSON.stringify(text).replace(/[\u007f-\u009f\u2028\u2029\ufeff\u202a-\u202e\u2066-\u2069]/g, escaped)}`))
              .owner,
          ).toBe(text)
        }
        expect((await row(`owner: ${variable('V')}`, { V: text })).owner).toBe(text)
      }),
      { numRuns: 60 },
    )
  })

  const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
})

describe('variables', () => {
  test('stand in the middle of a text, have defaults, and are taken literally after $$', async () => {
    const owner = async (text: string, env = {}) => (await row(`owner: "${text}"`, env)).owner
    expect(await owner(`a-${variable('A')}-${variable('B:-b')}-${variable('C:-c')}`, { A: '1', B: '', C: '3' })).toBe('a-1-b-3')
    expect(await owner(`$${variable('A')}`)).toBe(variable('A'))
    expect(await owner('5$')).toBe('5$')
  })

  test('never make YAML', async () => {
    const value = 'x\nlabels: { injected: yes } #'
    const secret = await row(`owner: ${variable('V')}`, { V: value })
    expect(secret.owner).toBe(value)
    expect(secret.labels).toEqual({})
  })

  test('are read as strictly as if their text stood there', async () => {
    expect((await row(`failClosed: ${variable('V')}`, { V: 'true' })).failClosed).toBe(true)
    expect((await row(`generate: { bytes: "${variable('V')}" }`, { V: '64' })).generate.bytes).toBe(64)
    expect((await row(`every: ${variable('DAYS')}d`, { DAYS: '7' })).every?.ms).toBe(7 * 86_400_000)
    for (const V of ['0x40', '64.5', ' 64', '1e2', '']) {
      const text = `database: {}\nsecrets:\n  k: { type: service-token, generate: { bytes: "${variable('V')}" } }\n`
      expect(await complaintsOf(text, { env: { V } })).toHaveLength(1)
    }
  })

  test('that only look like one are told, and loaded', async () => {
    const config = await load('database: {}\nsecrets:\n  k: { owner: $TEAM }\n')
    expect(config.warnings).toMatchObject([{ level: 'warning', path: 'secrets.k.owner', at: { line: 3, column: 15 } }])
    expect(config.secrets.get('k' as SecretName)?.owner).toBe('$TEAM')
  })

  test('are not looked for in the prototype of the environment', async () => {
    expect(await complaintsOf(`database: {}\nsecrets:\n  k: { owner: "${variable('constructor')}" }\n`)).toHaveLength(1)
  })
})

describe('YAML', () => {
  test('anchors and aliases that stay small are read', async () => {
    const config = await load('database: {}\nsecrets:\n  a: &row { type: service-token, labels: { tier: gold } }\n  b: *row\n')
    expect(config.secrets.get('b' as SecretName)?.labels).toEqual({ tier: 'gold' })
  })

  test('an empty file is a config without stores', async () => {
    for (const text of ['', '# nothing\n', '---\n', '{}\n']) expect((await load(text)).secrets.size).toBe(0)
  })
})
