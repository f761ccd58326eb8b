import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { EnvelopeSealer, Keyring } from '@keyturn/envelope'
import { MemoryLedger } from '@keyturn/ledger'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../clock.ts'
import { pooledRandom } from '../random.ts'
import { envKeys } from './providers/env.ts'
import { fileKeys } from './providers/file.ts'
import { derivedKeys, openRootCopy, rootRecord } from './root.ts'
import { leaveRootCopy, readRootCopy } from './root-copy.ts'

const random = pooledRandom()
const kek = () => Buffer.from(random.bytes(32)).toString('base64url')
let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'keyturn-keys-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe('keys from the environment', () => {
  test('several at once, one of them current', () => {
    const keys = envKeys('TALOS', { TALOS_KEK_a1: kek(), TALOS_KEK_b2: kek(), TALOS_CURRENT_KEK_ID: 'b2', KEYTURN_KEK_x: kek() })
    expect([[...keys.keks.keys()].sort(), keys.current]).toEqual([['a1', 'b2'], 'b2'])
  })

  test('with something missing, the refusal names it, and never what is set', () => {
    expect(() => envKeys('KEYTURN', {})).toThrow('KEYTURN_KEK_<id> and KEYTURN_CURRENT_KEK_ID are not set')
    const text = kek()
    expect(() => envKeys('KEYTURN', { KEYTURN_KEK_a: text })).toThrow('KEYTURN_CURRENT_KEK_ID is not set')
    expect(() => envKeys('KEYTURN', { KEYTURN_KEK_a: `${text}=`, KEYTURN_CURRENT_KEK_ID: 'a' })).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining(text) }),
    )
  })
})

describe('keys from a folder', () => {
  const keysIn = (make: boolean) => fileKeys(join(folder, 'keys'), { make, random })

  test('the first is made where nothing is, for its owner alone, and is the same ever after', () => {
    const made = keysIn(true)
    expect([[...made.keks.keys()], made.current]).toEqual([['k1'], 'k1'])
    const again = keysIn(false)
    expect(again.keks.get('k1')?.equals(made.keks.get('k1') as never)).toBe(true)
    expect(statSync(join(folder, 'keys')).mode & 0o777).toBe(0o700)
    expect(statSync(join(folder, 'keys/k1.key')).mode & 0o777).toBe(0o600)
    expect(readFileSync(join(folder, 'keys/k1.key'), 'utf8')).toMatch(/^[\w-]{43}\n$/)
  })

  test('none is made where something was ever closed', () => {
    expect(() => keysIn(false)).toThrow('is missing')
    keysIn(true)
    rmSync(join(folder, 'keys/k1.key'))
    expect(() => keysIn(true)).toThrow('holds none')
  })

  test('what others may read is refused', () => {
    keysIn(true)
    chmodSync(join(folder, 'keys/k1.key'), 0o640)
    expect(() => keysIn(false)).toThrow('can be read by others (mode 640)')
    chmodSync(join(folder, 'keys/k1.key'), 0o600)
    chmodSync(join(folder, 'keys'), 0o755)
    expect(() => keysIn(false)).toThrow('can be read by others')
  })
})

describe('the root secret', () => {
  const keyring = new Keyring(envKeys('K', { K_KEK_a: kek(), K_CURRENT_KEK_ID: 'a' }))
  const sealerOf = (store: string) => new EnvelopeSealer({ keyring, random, store, meter: null })

  test('is made once, and gives each purpose its own key', async () => {
    const ledger = new MemoryLedger(systemClock, random)
    const keys = await derivedKeys(ledger.sealed, sealerOf(ledger.id), random)
    const again = await derivedKeys(ledger.sealed, sealerOf(ledger.id), random)
    expect(again.audit.key.equals(keys.audit.key)).toBe(true)
    const all = Object.values(keys).map(({ key }) => key.export().toString('hex'))
    expect(new Set(all).size).toBe(all.length)
    expect(new Set(Object.values(keys).map(({ id }) => id)).size).toBe(all.length)
  })

  test('is one, however many brokers start at once', async () => {
    const ledger = new MemoryLedger(systemClock, random)
    const all = await Promise.all(Array.from({ length: 5 }, () => derivedKeys(ledger.sealed, sealerOf(ledger.id), random)))
    expect(new Set(all.map(({ token }) => token.key.export().toString('hex'))).size).toBe(1)
  })

  test('opens from its copy, and only with its ledger', async () => {
    const ledger = new MemoryLedger(systemClock, random)
    const keys = await derivedKeys(ledger.sealed, sealerOf(ledger.id), random)
    const sealed = await ledger.sealed.get(rootRecord)
    if (sealed === null) throw new Error('no root in the ledger')
    leaveRootCopy(folder, { ledger: ledger.id, sealed })
    const copy = readRootCopy(folder)
    expect(openRootCopy(copy.sealed, sealerOf(copy.ledger)).audit.key.equals(keys.audit.key)).toBe(true)
    expect(() => openRootCopy(copy.sealed, sealerOf('another'))).toThrow(expect.objectContaining({ code: 'corrupt' }))
    expect(statSync(join(folder, 'root.json')).mode & 0o777).toBe(0o600)
  })
})
