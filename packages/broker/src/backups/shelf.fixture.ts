import { createHash, createSecretKey, type KeyObject } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DumpedSecret, type DumpedVersion, type Random, type SecretId, SecretValue, type StorePath } from '@keyturn/core'
import { Keyring, type KeyringContent, WrapMeter } from '@keyturn/envelope'
import { MemoryLedger } from '@keyturn/ledger'
import { sealerOf } from './bundle-seal.ts'
import { Bundles, type BundlesParts } from './bundles.ts'

/** A KEK that is the same in every run. */
export function kekOf(seed: string): KeyObject {
  return createSecretKey(createHash('sha256').update(seed).digest())
}

/** SHA-256 of the seed and a counter, block after block. */
export function seededRandom(seed: string): Random {
  let counter = 0
  let pool = Buffer.alloc(0)
  const bytes = (count: number) => {
    while (pool.length < count) pool = Buffer.concat([pool, createHash('sha256').update(`${seed}/${counter++}`).digest()])
    const taken = Buffer.from(pool.subarray(0, count))
    pool = pool.subarray(count)
    return taken
  }
  return { bytes, uuid: () => '00000000-0000-4000-8000-000000000000' }
}

/** A sealed store in memory, and what keeps its bundles in a folder of their own. */
export class Shelf {
  readonly folder = mkdtempSync(join(tmpdir(), 'keyturn-bundles-'))
  readonly store = 'db_0123456789abcdef'
  readonly secrets: DumpedSecret[] = []
  readonly random: Random
  readonly ledger: MemoryLedger
  readonly keyring: Keyring
  readonly parts: BundlesParts
  readonly bundles: Bundles
  nowMs = Date.UTC(2026, 0, 1)
  /** Runs between two secrets of a dump. */
  onDump: (at: number) => void = () => undefined

  constructor(seed = 'shelf') {
    this.random = seededRandom(seed)
    const clock = { now: () => new Date(this.nowMs), after: () => () => undefined }
    this.ledger = new MemoryLedger(clock, this.random)
    this.keyring = new Keyring({ keks: new Map([['v1', kekOf('v1')]]), current: 'v1' })
    const counts = new Map<string, number>()
    const meter = new WrapMeter({
      async add(kekId, count) {
        counts.set(kekId, (counts.get(kekId) ?? 0) + count)
        return counts.get(kekId) ?? 0
      },
    })
    const source = { store: this.store, section: 'database', dump: () => this.#dump(), keks: async () => this.#keks() }
    const parts = { keyring: this.keyring, random: this.random, meter, clock, ledger: this.#registers(seed), keepMs: 30 * 86_400_000 }
    this.parts = { ...parts, folder: join(this.folder, 'backups'), sources: async () => [source] }
    this.bundles = new Bundles(this.parts)
  }

  /** Loads these KEKs and no others. */
  hold(current: string, ...others: readonly string[]): void {
    const content: KeyringContent = { keks: new Map([current, ...others].map(id => [id, kekOf(id)])), current }
    this.keyring.load(content)
  }

  /** A secret with a version for each value, closed under the current KEK. */
  async put(path: string, values: readonly string[], with_: { readonly disabled?: readonly number[] } = {}): Promise<void> {
    const id = `sec_${createHash('sha256').update(path).digest('hex').slice(0, 26).toUpperCase()}` as SecretId
    await this.parts.meter?.ready(this.keyring.currentId, values.length)
    const sealer = sealerOf(this.parts, this.store)
    const versions = values.map((value, at): DumpedVersion => {
      const number = at + 1
      const label = at === values.length - 1 ? 'current' : at === values.length - 2 ? 'previous' : null
      const sealed = sealer.seal({ secretId: id, number, kind: 'text' }, SecretValue.text(value))
      return { number, kind: 'text', label, disabled: with_.disabled?.includes(number) ?? false, createdAt: new Date(this.nowMs), sealed }
    })
    this.secrets.push({ id, path: path as StorePath, deletedAt: null, versions })
  }

  /** A ledger in memory has no id of its own. */
  #registers(seed: string): BundlesParts['ledger'] {
    const { backups, secrets } = this.ledger
    return { id: `ledger_${seed}`, backups, secrets, now: () => this.ledger.now() }
  }

  close(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }

  async *#dump() {
    for (const [at, secret] of this.secrets.entries()) {
      this.onDump(at)
      yield secret
    }
  }

  #keks() {
    return this.keyring.ids.map(id => ({ id, fingerprint: this.keyring.fingerprint(id), wraps: 0, needs: {}, oldest: null }))
  }
}
