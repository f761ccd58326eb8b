import { createHmac, type KeyObject } from 'node:crypto'
import { BrokerError, type LedgerVersion, type Sealed, type Sealer, type SecretId, SecretValue, type VersionId } from '@keyturn/core'
import type { SealedRecords } from '@keyturn/ledger'
import type { Broker } from '../broker.ts'
import type { Entry } from '../catalog.ts'

/** What readers of a name must not be taken back behind: what its first store had last, as far as this broker or another one of its ledger has seen. */
export interface Floor {
  /** Keyed, of the value as readers get it; null: not known, or there is none. */
  readonly fingerprint: string | null
  /** What the first store calls it, and since when it has it (RFC 3339). */
  readonly version: VersionId | null
  readonly createdAt: string | null
  /** The ledger's number of the version that was current when this was noted; null: none. A promotion since then has another. */
  readonly promotion: number | null
  /** Not null: the first store has it no longer, and what another one still has is not served. Which stores are to lose it too, and whether they have. */
  readonly gone: Readonly<Record<string, boolean>> | null
  /** What each other store that is to have it calls it; null: it does not have it yet. */
  readonly stores: Readonly<Record<string, VersionId | null>>
  /** By the ledger's clock (RFC 3339). */
  readonly notedAt: string
}

/** A floor as it was read: what it is replaced by must know it. */
export interface Noted {
  readonly floor: Floor
  readonly sealed: Sealed
}

/** The floors of names in several stores, each a sealed record of the ledger. */
export class Floors {
  readonly #records: SealedRecords
  readonly #sealer: Sealer
  readonly #key: KeyObject

  constructor(parts: { readonly records: SealedRecords; readonly sealer: Sealer; readonly key: KeyObject }) {
    this.#records = parts.records
    this.#sealer = parts.sealer
    this.#key = parts.key
  }

  async get(id: SecretId): Promise<Noted | null> {
    const sealed = await this.#records.get(recordOf(id))
    return sealed === null ? null : { floor: floorOf(this.#sealer.open(slotOf(id), sealed)), sealed }
  }

  /** Notes a floor over the one that was read (null: none); null when somebody else was faster. */
  async put(id: SecretId, floor: Floor, before: Noted | null): Promise<Noted | null> {
    const sealed = this.#sealer.seal(slotOf(id), SecretValue.text(JSON.stringify(floor)))
    try {
      await this.#records.put(recordOf(id), sealed, before?.sealed ?? null)
      return { floor, sealed }
    } catch (error) {
      if (error instanceof BrokerError && error.code === 'conflict') return null
      throw error
    }
  }

  /**
   * Says two values of one secret to be the same without keeping either: HMAC-SHA-256 over what readers get. A member of a JSON object that is no string
   * reads like its source text, so it counts as that.
   */
  fingerprint(id: SecretId, value: SecretValue): string {
    const content = value.reveal()
    const plain =
      'fields' in content
        ? SecretValue.fields(new Map([...content.fields].map(([name, field]) => [name, field.bytes])))
        : SecretValue.bytes(content.field.bytes)
    return createHmac('sha256', this.#key).update(id).update('\0').update(plain.encode()).digest('base64url')
  }
}

/** The ledger's number of the version that is current; null: it knows of none. */
export function promotionOf(versions: readonly LedgerVersion[]): number | null {
  return versions.find(version => version.label === 'current')?.number ?? null
}

/**
 * Makes sure that a promotion is known for what it is, whoever dies in it: a floor from before it no longer fits the ledger, and says that the other stores
 * are to be brought in step.
 */
export async function beforePromotion(broker: Pick<Broker, 'floors' | 'ledger' | 'journal'>, entry: Entry): Promise<void> {
  if (entry.others.length === 0) return
  const { id } = await broker.ledger.secrets.ensure(entry.name)
  if ((await broker.floors.get(id)) !== null) return
  const promotion = promotionOf(await broker.journal.versions(id))
  const notedAt = (await broker.ledger.now()).toISOString()
  const nothing = { fingerprint: null, version: null, createdAt: null, promotion, gone: null, stores: {}, notedAt }
  // whoever was faster noted at least as much
  await broker.floors.put(id, nothing, null)
}

/** What the record of a secret is called. */
const recordOf = (id: SecretId): string => `floor/${id}`

/** No value of the secret opens in this place, nor this in the place of one. */
const slotOf = (id: SecretId) => ({ secretId: `floor/${id}` as SecretId, number: 1, kind: 'previous' }) as const

function floorOf(value: SecretValue): Floor {
  const content = value.reveal()
  if (!('field' in content)) throw new BrokerError('corrupt', 'a sealed floor opened but does not parse')
  // written from a Floor, and sealed since
  return JSON.parse(Buffer.from(content.field.bytes).toString()) as Floor
}
