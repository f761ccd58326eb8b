import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, randomBytes, randomUUID } from 'node:crypto'
import { type SecretId, SecretValue } from '@keyturn/core'
import { EnvelopeSealer, Keyring } from '@keyturn/envelope'
import { pooledRandom } from '../../packages/broker/src/random.ts'
import { median, type Row } from './row.ts'

const valueBytes = 256
const count = 10_000
const rounds = 9

/** Closing, opening and re-wrapping on one core, against the bare calls of node:crypto that each needs. */
export async function sealingBench(): Promise<readonly Row[]> {
  const measured = measurements()
  const samples = Object.fromEntries(Object.keys(measured).map(name => [name, [] as number[]]))
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, run] of Object.entries(measured)) samples[name]?.push(rate(run))
  }
  const of = (name: string) => median(samples[name]?.slice(1) ?? [])
  const row = (what: string, name: string, bare: string, of_: string): Row => ({
    what,
    value: of(name),
    unit: 'a second',
    ratio: of(name) / of(bare),
    of: of_,
  })
  return [
    row(`opened, ${valueBytes} bytes`, 'open', 'bareOpen', 'the bare HKDF and two AES-256-GCM calls'),
    row(`opened, ${valueBytes} bytes that are no text`, 'openBytes', 'bareOpen', 'the bare HKDF and two AES-256-GCM calls'),
    row(`sealed, ${valueBytes} bytes`, 'seal', 'bareSeal', 'the bare HKDF and two AES-256-GCM calls'),
    row('re-wrapped', 'rewrap', 'bareRewrap', 'a bare decipher and cipher of 32 bytes'),
  ]
}

function rate(run: (index: number) => void): number {
  const start = process.hrtime.bigint()
  for (let index = 0; index < count; index += 1) run(index)
  return (count * 1e9) / Number(process.hrtime.bigint() - start)
}

function measurements(): Readonly<Record<string, (index: number) => void>> {
  const keks = new Map(['k1', 'k2'].map(id => [id, createSecretKey(randomBytes(32))]))
  const sealer = new EnvelopeSealer({
    keyring: new Keyring({ keks, current: 'k1' }),
    random: pooledRandom(),
    store: randomUUID(),
    meter: null,
  })
  const value = SecretValue.text(randomBytes(valueBytes / 2).toString('hex'))
  const rowsOf = (kind: 'text' | 'bytes', value: SecretValue) => {
    const rows = Array.from({ length: 1_000 }, (_, at) => {
      const slot = { secretId: `sec_${String(at).padStart(26, '0')}` as SecretId, number: 1 + (at % 7), kind }
      return { slot, sealed: sealer.seal(slot, value) }
    })
    return (index: number) => {
      const row = rows[index % rows.length]
      if (row === undefined) throw new Error('no rows')
      return row
    }
  }
  const rowAt = rowsOf('text', value)
  // the first byte is no beginning of UTF-8
  const bytesAt = rowsOf('bytes', SecretValue.bytes(Buffer.concat([Buffer.of(0xff), randomBytes(valueBytes - 1)])))
  const key = createSecretKey(randomBytes(32))
  const [iv, context, plaintext, salt] = [randomBytes(12), randomBytes(90), randomBytes(valueBytes), randomBytes(32)]
  const close = (bytes: Uint8Array) => {
    const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: 16 })
    cipher.setAAD(context)
    const ciphertext = cipher.update(bytes)
    cipher.final()
    return { ciphertext, tag: cipher.getAuthTag() }
  }
  const open = ({ ciphertext, tag }: ReturnType<typeof close>) => {
    const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: 16 })
    decipher.setAAD(context)
    decipher.setAuthTag(tag)
    decipher.update(ciphertext)
    decipher.final()
  }
  const derive = () => hkdfSync('sha256', key, salt, 'keyturn/v1/payload', 64)
  const [payload, wrap] = [close(plaintext), close(plaintext.subarray(0, 32))]
  return {
    open: index => void sealer.open(rowAt(index).slot, rowAt(index).sealed),
    openBytes: index => void sealer.open(bytesAt(index).slot, bytesAt(index).sealed),
    bareOpen: () => {
      open(wrap)
      derive()
      open(payload)
    },
    seal: index => void sealer.seal(rowAt(index).slot, value),
    bareSeal: () => {
      derive()
      close(plaintext)
      close(plaintext.subarray(0, 32))
    },
    rewrap: index => void sealer.rewrapped(rowAt(index).slot, rowAt(index).sealed, 'k2'),
    bareRewrap: () => {
      open(wrap)
      close(plaintext.subarray(0, 32))
    },
  }
}
