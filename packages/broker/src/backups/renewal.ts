import { BrokerError, type PassKind, type Sealed } from '@keyturn/core'
import type { EnvelopeSealer, ValueSlot } from '@keyturn/envelope'
import type { BackupRecord } from '@keyturn/ledger'
import { fromWire, type HeaderLine, toWire, type VersionLine } from './bundle-line.ts'
import { type BundleItem, keysOf, readBundle, readHeader } from './bundle-reader.ts'
import { sealerOf } from './bundle-seal.ts'
import { type BundleDraft, beginBundle } from './bundle-writer.ts'
import type { BundlesParts } from './bundles.ts'

/** What is to become of the retained bundles. */
export interface RenewWish {
  readonly kind: Exclude<PassKind, 'scrub'>
  /** The pass that this belongs to: what it has renewed is not renewed again. */
  readonly pass: string
  /** The KEK that is current. */
  readonly toKek: string
  readonly signal: AbortSignal
}

/** Versions that are under the target now, and those that cannot be brought there. */
export interface Renewed {
  readonly done: number
  readonly failed: number
}

/** How many wraps are reserved at a time. */
const blockWraps = 512

/**
 * Writes a bundle anew, with its wraps under another KEK or its values closed anew, and puts it in the place of the old one. A version whose KEK is not
 * loaded stays as it is, and is counted. A damaged bundle is left as it is: a new MAC over it would hide the damage. Errors as in `keysOf`, `corrupt`.
 */
export async function renewBundle(
  parts: BundlesParts,
  backup: BackupRecord,
  wish: RenewWish,
): Promise<Renewed & { readonly note: string | null }> {
  if (wish.kind === 'rewrap' && Object.keys(backup.keks).every(id => id === wish.toKek)) return { done: 0, failed: 0, note: null }
  if (parts.keyring.currentId !== wish.toKek) throw new BrokerError('conflict', `KEK ${wish.toKek} is not current any more`)
  const header = await readHeader(backup.file)
  if (header.id !== backup.id) throw new BrokerError('corrupt', `${backup.file} is not the bundle ${backup.id}`)
  const counts: Counts = { done: 0, failed: 0, missing: new Set() }
  // a broker that died, or another one, has done it: only the row is behind
  if (header.pass !== wish.pass) await rewrite(parts, backup, header, wish, counts)
  // a death before this leaves the file renewed and the row as it was, which errs to the safe side
  await registerAgain(parts, backup.id)
  const note = counts.missing.size === 0 ? null : `${backup.id}: KEK ${[...counts.missing].sort().join(', ')} is not loaded`
  return { done: counts.done, failed: counts.failed, note }
}

interface Counts {
  done: number
  failed: number
  readonly missing: Set<string>
}

async function rewrite(parts: BundlesParts, backup: BackupRecord, header: HeaderLine, wish: RenewWish, counts: Counts): Promise<void> {
  const keys = keysOf(parts, backup.file, header)
  const { id, created, reason, ledger, stores, generation } = header
  const about = { id, created, reason, ledger, stores, generation: generation + 1, pass: wish.pass }
  const draft = await beginBundle(parts, backup.file, about)
  const renewing = new Renewing(parts, wish, counts)
  try {
    const { trailer } = await readBundle(backup.file, keys, async item => {
      wish.signal.throwIfAborted()
      await renewing.item(draft, item, backup)
    })
    for (const { id: kekId, fingerprint } of trailer?.keks ?? []) if (fingerprint !== null) draft.knows(kekId, fingerprint)
    await draft.finish()
  } catch (error) {
    await draft.abandon()
    throw error
  }
}

const attemptsMax = 5

/** Makes the row say what the file is. Several brokers may renew one file: the last look wins, because each looks after it wrote. */
export async function registerAgain(parts: BundlesParts, id: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const backup = (await parts.ledger.backups.all()).find(each => each.id === id)
    if (backup === undefined) return
    const header = await readHeader(backup.file)
    const { trailer, bytes, sha256 } = await readBundle(backup.file, keysOf(parts, backup.file, header), mustBeWhole(backup.file))
    if (trailer === null || sha256 === backup.sha256) return
    try {
      const keks = Object.fromEntries(trailer.keks.map(each => [each.id, each.opens]))
      return await parts.ledger.backups.renew(id, backup.sha256, { bytes, sha256, keks })
    } catch (error) {
      if (!(error instanceof BrokerError) || error.code !== 'conflict' || attempt === attemptsMax) throw error
    }
  }
}

/** Refuses a damaged line with `corrupt`. */
export function mustBeWhole(file: string): (item: BundleItem) => void {
  return item => {
    if (!('damage' in item)) return
    throw new BrokerError('corrupt', `line ${item.damage.line} of ${file}: ${item.damage.why}`, {
      hint: 'keyturn restore --dry-run names every damaged line; keep the file for what is whole in it, and make another bundle',
    })
  }
}

/** What becomes of each line. */
class Renewing {
  readonly #parts: BundlesParts
  readonly #wish: RenewWish
  readonly #counts: Counts
  readonly #sealers = new Map<string, EnvelopeSealer>()
  #reserved = 0

  constructor(parts: BundlesParts, wish: RenewWish, counts: Counts) {
    this.#parts = parts
    this.#wish = wish
    this.#counts = counts
  }

  async item(draft: BundleDraft, item: BundleItem, backup: BackupRecord): Promise<void> {
    if ('damage' in item) return mustBeWhole(backup.file)(item)
    if ('name' in item) return draft.name(item.name)
    await draft.version(await this.#version(item.version))
  }

  async #version(line: VersionLine): Promise<VersionLine> {
    if (line.sealed === null) return line
    const before = fromWire(line.sealed)
    if (this.#wish.kind === 'rewrap' && before.kekId === this.#wish.toKek) return line
    if (!this.#parts.keyring.has(before.kekId)) {
      this.#counts.missing.add(before.kekId)
      this.#counts.failed += 1
      return line
    }
    await this.#reserve()
    try {
      const after = this.#renewed(line, before)
      this.#counts.done += 1
      return { ...line, sealed: toWire(after) }
    } catch (error) {
      // what was damaged in the database when the bundle was made is kept as it was
      if (!(error instanceof BrokerError) || error.code !== 'corrupt') throw error
      this.#counts.failed += 1
      return line
    }
  }

  #renewed(line: VersionLine, before: Sealed): Sealed {
    const slot: ValueSlot = { secretId: line.secret, number: line.number, kind: line.kind }
    const sealer = this.#sealers.get(line.store) ?? sealerOf(this.#parts, line.store)
    this.#sealers.set(line.store, sealer)
    return this.#wish.kind === 'rewrap' ? sealer.rewrapped(slot, before, this.#wish.toKek) : sealer.seal(slot, sealer.open(slot, before))
  }

  async #reserve(): Promise<void> {
    if (this.#reserved === 0) {
      await this.#parts.meter?.ready(this.#wish.toKek, blockWraps)
      this.#reserved = blockWraps
    }
    this.#reserved -= 1
  }
}
