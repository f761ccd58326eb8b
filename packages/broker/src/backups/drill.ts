import { BrokerError } from '@keyturn/core'
import type { EnvelopeSealer } from '@keyturn/envelope'
import { Breather } from '../campaigns/breather.ts'
import { fromWire, type TrailerLine, type VersionLine } from './bundle-line.ts'
import type { Damage } from './bundle-reader.ts'
import { type SealParts, sealerOf } from './bundle-seal.ts'
import type { OpenedVersion } from './bundled-secret.ts'

/** Versions of a bundle that do not open because of one KEK. */
export interface UnreadableKek {
  readonly kek: string
  /** Of the key that is needed; null: the bundle does not tell. */
  readonly fingerprint: string | null
  readonly versions: number
  readonly why: 'not loaded' | 'another key is loaded by this id'
}

/** What opening every value of a bundle showed. */
export interface DrillReport {
  readonly secrets: number
  readonly versions: number
  readonly opened: number
  /** Destroyed before the bundle was made: nothing is there to open. */
  readonly destroyed: number
  readonly unreadable: readonly UnreadableKek[]
  /** Lines that are not what was written, the first of them named. */
  readonly damaged: number
  readonly damage: readonly Damage[]
  /** Values that do not open though their KEK is right: they were damaged before the bundle was made. */
  readonly corrupt: readonly { readonly path: string; readonly number: number }[]
}

const namedMax = 100

/** Opens values one after another, and counts what opens and what does not, and why. */
export class Drill {
  readonly #parts: SealParts
  readonly #sealers = new Map<string, EnvelopeSealer>()
  readonly #missing = new Map<string, number>()
  readonly #corrupt = new Map<string, { count: number; readonly first: { readonly path: string; readonly number: number }[] }>()
  readonly #damage: Damage[] = []
  #damaged = 0
  #secrets = 0
  #versions = 0
  #opened = 0
  #destroyed = 0

  constructor(parts: SealParts) {
    this.#parts = parts
  }

  get hasDamage(): boolean {
    return this.#damaged > 0
  }

  damage(damage: Damage): void {
    this.#damaged += 1
    if (this.#damage.length < namedMax) this.#damage.push(damage)
  }

  /** Opens every version of a secret, in pieces between which others get on; what does not open is counted and left out. */
  async open(versions: readonly VersionLine[]): Promise<readonly OpenedVersion[]> {
    this.#secrets += 1
    const breather = new Breather()
    const all: OpenedVersion[] = []
    for (const line of versions) {
      const opened = this.#openOne(line)
      if (opened !== undefined) all.push(opened)
      if (breather.due) await breather.breathe()
    }
    return all
  }

  /** `trailer` null: fingerprints are not known. */
  report(trailer: TrailerLine | null): DrillReport {
    const { keyring } = this.#parts
    const fingerprints = new Map((trailer?.keks ?? []).map(({ id, fingerprint }) => [id, fingerprint]))
    const isAnother = (kek: string) => {
      const known = fingerprints.get(kek)
      return typeof known === 'string' && keyring.has(kek) && keyring.fingerprint(kek) !== known
    }
    const fingerprint = (kek: string) => fingerprints.get(kek) ?? null
    const unreadable: UnreadableKek[] = [
      ...[...this.#missing].map(([kek, versions]) => ({ kek, fingerprint: fingerprint(kek), versions, why: 'not loaded' as const })),
      ...[...this.#corrupt]
        .filter(([kek]) => isAnother(kek))
        .map(([kek, { count }]) => ({
          kek,
          fingerprint: fingerprint(kek),
          versions: count,
          why: 'another key is loaded by this id' as const,
        })),
    ]
    const corrupt = [...this.#corrupt].filter(([kek]) => !isAnother(kek)).flatMap(([, { first }]) => first)
    const counts = { secrets: this.#secrets, versions: this.#versions, opened: this.#opened, destroyed: this.#destroyed }
    return { ...counts, unreadable, damaged: this.#damaged, damage: this.#damage, corrupt }
  }

  #openOne(line: VersionLine): OpenedVersion | undefined {
    const { sealed } = line
    this.#versions += 1
    if (sealed === null) {
      this.#destroyed += 1
      return undefined
    }
    const sealer = this.#sealers.get(line.store) ?? sealerOf(this.#parts, line.store)
    this.#sealers.set(line.store, sealer)
    try {
      const value = sealer.open({ secretId: line.secret, number: line.number, kind: line.kind }, fromWire(sealed))
      this.#opened += 1
      return { line, value }
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error
      if (error.code === 'unavailable') this.#missing.set(sealed.kek, (this.#missing.get(sealed.kek) ?? 0) + 1)
      else if (error.code === 'corrupt') this.#isCorrupt(line, sealed.kek)
      else throw error
      return undefined
    }
  }

  #isCorrupt({ path, number }: VersionLine, kek: string): void {
    const known = this.#corrupt.get(kek) ?? { count: 0, first: [] }
    known.count += 1
    if (known.first.length < namedMax) known.first.push({ path, number })
    this.#corrupt.set(kek, known)
  }
}
