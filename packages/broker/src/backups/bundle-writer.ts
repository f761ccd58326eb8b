import { join } from 'node:path'
import type { DumpedSecret, DumpedVersion, OperationId, Random } from '@keyturn/core'
import type { BackupRecord } from '@keyturn/ledger'
import { BundleFile } from './bundle-file.ts'
import { bundleFormat, bundleKeys, type HeaderLine, type TrailerLine, toWire, type VersionLine } from './bundle-line.ts'
import { newBundleKey, type SealParts } from './bundle-seal.ts'
import type { BundlesParts } from './bundles.ts'
import type { BackupSource } from './source.ts'

const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const pageRows = 500

/** A new id: `bak_` and 26 characters of Crockford's base 32. */
export function bundleIdFrom(random: Random): string {
  return `bak_${Array.from(random.bytes(26), byte => alphabet.charAt(byte % alphabet.length)).join('')}`
}

/** The id of the bundle that an operation begins after: there is one for each, whoever makes it, and however often. */
export function bundleIdOf(op: OperationId): string {
  return op.replace(/^op_/, 'bak_')
}

/** What a bundle that is to be made is called, why it is made, and what ends the making before its time. */
export interface WritingWish {
  readonly id: string
  readonly reason: string
  readonly signal: AbortSignal
}

/** What a bundle is known by once it is on the disk. */
export type WrittenBundle = Pick<BackupRecord, 'id' | 'file' | 'bytes' | 'sha256' | 'versions' | 'keks'>

/** Writes everything that the sources have into a new bundle. Nothing is left when it throws. */
export async function writeBundle(
  parts: BundlesParts,
  sources: readonly BackupSource[],
  { id, reason, signal }: WritingWish,
): Promise<WrittenBundle> {
  const file = join(parts.folder, `${id}.jsonl`)
  const stores = sources.map(({ store, section }) => ({ id: store, section }))
  const about = { id, created: parts.clock.now().toISOString(), reason, ledger: parts.ledger.id, stores, generation: 1, pass: null }
  const bundle = await beginBundle(parts, file, about)
  try {
    for (const source of sources) {
      for (const { id: kekId, fingerprint } of await source.keks()) bundle.knows(kekId, fingerprint)
      for await (const secret of source.dump({ signal })) await bundle.secret(source.store, secret)
    }
    for await (const row of namesOf(parts)) await bundle.name(row)
    signal.throwIfAborted()
    return { id, file, ...(await bundle.finish()) }
  } catch (error) {
    await bundle.abandon()
    throw error
  }
}

/** What a header says beside the bundle's key. */
export type About = Omit<HeaderLine, 'format' | 'fingerprint' | 'key'>

/** Seals a new key for a bundle under the current KEK, and writes its first line. */
export async function beginBundle(parts: SealParts, file: string, about: About): Promise<BundleDraft> {
  const kekId = parts.keyring.currentId
  const fingerprint = parts.keyring.fingerprint(kekId)
  await parts.meter?.ready(kekId)
  const { key, sealed } = newBundleKey(parts, about.id, about.generation)
  const keys = bundleKeys(key)
  key.fill(0)
  const draft = new BundleDraft(await BundleFile.create(file, about.id, keys))
  draft.knows(kekId, fingerprint)
  await draft.header({ format: bundleFormat, ...about, fingerprint, key: toWire(sealed) })
  return draft
}

/** A bundle that is being written, and what has been counted so far. */
export class BundleDraft {
  readonly #file: BundleFile
  readonly #opens = new Map<string, number>()
  readonly #fingerprints = new Map<string, string>()
  #secrets = 0
  #versions = 0
  #names = 0
  #secret = ''

  constructor(file: BundleFile) {
    this.#file = file
  }

  /** Notes what a KEK is known by, so that the bundle names the key it needs. */
  knows(kekId: string, fingerprint: string): void {
    this.#fingerprints.set(kekId, fingerprint)
  }

  async header(line: HeaderLine): Promise<void> {
    this.#count(line.key.kek)
    await this.#file.line(line)
  }

  async secret(store: string, { id, path, deletedAt, versions }: DumpedSecret): Promise<void> {
    for (const version of versions) await this.version(lineOf(store, { id, path, deletedAt }, version))
  }

  /** All versions of a secret come one after another. */
  async version(line: VersionLine): Promise<void> {
    if (line.sealed !== null) this.#count(line.sealed.kek)
    if (line.secret !== this.#secret) this.#secrets += 1
    this.#secret = line.secret
    this.#versions += 1
    await this.#file.line(line)
  }

  async name(row: {
    readonly name: string
    readonly type: string | null
    readonly labels: Readonly<Record<string, string>>
  }): Promise<void> {
    this.#names += 1
    await this.#file.line({ name: row.name, type: row.type, labels: row.labels })
  }

  async finish(): Promise<Pick<BackupRecord, 'bytes' | 'sha256' | 'versions' | 'keks'>> {
    const keks = [...this.#opens].sort(([a], [b]) => (a < b ? -1 : 1))
    const trailer: Omit<TrailerLine, 'end' | 'whole'> = {
      secrets: this.#secrets,
      versions: this.#versions,
      names: this.#names,
      keks: keks.map(([id, opens]) => ({ id, fingerprint: this.#fingerprints.get(id) ?? null, opens })),
    }
    const written = await this.#file.finish(trailer)
    return { ...written, versions: this.#versions, keks: Object.fromEntries(keks) }
  }

  abandon(): Promise<void> {
    return this.#file.abandon()
  }

  #count(kekId: string): void {
    this.#opens.set(kekId, (this.#opens.get(kekId) ?? 0) + 1)
  }
}

function lineOf(store: string, { id, path, deletedAt }: Omit<DumpedSecret, 'versions'>, version: DumpedVersion): VersionLine {
  const { number, kind, label, disabled, createdAt, sealed } = version
  return {
    store,
    secret: id,
    path,
    number,
    kind,
    label,
    disabled,
    created: createdAt.toISOString(),
    deleted: deletedAt?.toISOString() ?? null,
    sealed: sealed === null ? null : toWire(sealed),
  }
}

/** Names of which the ledger alone knows type or labels, as a PUT gave them. */
async function* namesOf({ ledger }: BundlesParts) {
  let after: Parameters<typeof ledger.secrets.page>[0]['after'] = null
  for (;;) {
    const page = await ledger.secrets.page({ after, limit: pageRows })
    for (const { name, type, labels } of page) {
      if (type !== null || Object.keys(labels).length > 0) yield { name, type, labels }
      after = name
    }
    if (page.length < pageRows) return
  }
}
