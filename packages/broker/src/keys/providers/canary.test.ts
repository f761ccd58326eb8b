import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { BrokerError } from '@keyturn/core'
import { Keyring } from '@keyturn/envelope'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { pooledRandom } from '../../random.ts'
import { envKeys } from './env.ts'
import { fileKeys } from './file.ts'

const random = pooledRandom()
const good = () => Buffer.from(random.bytes(32)).toString('base64url')

/** Everything that a person or a log could see of an error. */
const seen = (error: BrokerError) =>
  [error.message, error.hint, error.stack, JSON.stringify(error), JSON.stringify(error.toJSON()), inspect(error, { depth: 9 })].join('\n')

function refusal(run: () => unknown): BrokerError {
  try {
    run()
  } catch (error) {
    if (error instanceof BrokerError) return error
    throw error
  }
  throw new Error('it was taken')
}

/** Neither the key nor twelve characters of it. */
function mustHide(error: BrokerError, key: string): void {
  const text = seen(error)
  for (let at = 0; at + 12 <= key.length; at += 1) expect(text).not.toContain(key.slice(at, at + 12))
}

/** Texts that are refused, and the word that says why. */
const texts: readonly (readonly [string, (key: string) => string, RegExp])[] = [
  ['empty', () => '', /empty/],
  ['too short', key => key.slice(0, 42), /42 characters/],
  ['too long', key => `${key}A`, /44 characters/],
  ['padded', key => `${key}=`, /padded/],
  ['in quotes', key => `"${key}"`, /quotes/],
  ['in single quotes', key => `'${key}'`, /quotes/],
  ['with a space before', key => ` ${key}`, /white space/],
  ['with a line break within', key => `${key.slice(0, 20)}\n${key.slice(20)}`, /white space/],
  ['with two line breaks after', key => `${key}\n\n`, /white space/],
  ['in plain base64', key => `+/${key.slice(2)}`, /base64url/],
  ['of another alphabet', key => `${key.slice(0, 20)}é${key.slice(21)}`, /alphabet/],
  ['in hex', key => Buffer.from(key, 'base64url').toString('hex'), /64 characters/],
  ['not random', () => Buffer.alloc(32, 7).toString('base64url'), /repeat/],
]

describe('a key that is refused is not shown', () => {
  test.each(texts)('in a variable: %s', (_how, spoiled, reason) => {
    const key = good()
    const error = refusal(() => envKeys('TALOS', { TALOS_KEK_k1: good(), TALOS_KEK_k2: spoiled(key), TALOS_CURRENT_KEK_ID: 'k1' }))
    expect([error.code, error.message]).toEqual(['invalid_argument', expect.stringMatching(reason)])
    expect(error.message).toContain('KEK k2')
    mustHide(error, spoiled(key))
    mustHide(error, key)
  })

  test('as the current id, as an id, and beside a wrong id', () => {
    const key = good()
    for (const env of [
      { TALOS_KEK_k1: good(), TALOS_CURRENT_KEK_ID: key },
      { [`TALOS_KEK_${key}`]: 'k1', TALOS_CURRENT_KEK_ID: 'k1' },
      { [`TALOS_KEK_${key}=`]: 'k1', TALOS_CURRENT_KEK_ID: 'k1' },
      { TALOS_KEK_k1: key, 'TALOS_KEK_k.2': key, TALOS_CURRENT_KEK_ID: 'k1' },
      { TALOS_KEK_k1: key },
      { TALOS_CURRENT_KEK_ID: key },
    ]) {
      const error = refusal(() => envKeys('TALOS', env))
      expect(error.hint).toBeDefined()
      mustHide(error, key)
    }
  })

  test.each(['k.2', 'k 2', '', 'k/2', 'ä', 'k2\n', '-'.repeat(65)])('a variable that ends in %j is refused, not passed over', id => {
    const env = { TALOS_KEK_k1: good(), [`TALOS_KEK_${id}`]: good(), TALOS_CURRENT_KEK_ID: 'k1' }
    const error = refusal(() => envKeys('TALOS', env))
    expect(error.message).toContain('TALOS_KEK_')
    if (id.length > 0 && id.length < 32) expect(error.message).toContain(JSON.stringify(id))
  })

  test('one key under two ids, and a current one that is not there', () => {
    const key = good()
    const twins = refusal(() => new Keyring(envKeys('K', { K_KEK_a: key, K_KEK_b: key, K_CURRENT_KEK_ID: 'a' })))
    expect(twins.message).toBe('KEKs a and b are the same key')
    const absent = refusal(() => new Keyring(envKeys('K', { K_KEK_a: key, K_CURRENT_KEK_ID: 'z' })))
    expect([absent.message, absent.hint]).toEqual(['the current KEK z is not loaded', 'load KEK z, or name one of: a'])
    for (const error of [twins, absent]) mustHide(error, key)
  })
})

describe('in a folder', () => {
  let folder: string
  const write = (name: string, text: string) => writeFileSync(join(folder, name), text, { mode: 0o600 })
  const read = () => new Keyring(fileKeys(folder, { make: false, random }))
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'keyturn-canary-'))
    chmodSync(folder, 0o700)
    write('k1.key', good())
    write('current', 'k1\n')
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  test.each(texts)('a file %s', (_how, spoiled, reason) => {
    const key = good()
    write('k2.key', spoiled(key))
    const error = refusal(read)
    expect(error.message).toMatch(reason)
    mustHide(error, spoiled(key))
  })

  test('a file named after no id, or after a key, and a key in `current`', () => {
    const key = good()
    for (const [name, text] of [
      ['k.2.key', good()],
      [`${key}.key`, 'k1'],
      ['.key', key],
    ] as const) {
      write(name, text)
      mustHide(refusal(read), key)
      rmSync(join(folder, name))
    }
    write('current', key)
    mustHide(refusal(read), key)
  })
})
