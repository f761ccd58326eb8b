import { createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'
import { BrokerError, type Random, type Sealed } from '@keyturn/core'
import type { EnvelopeSealer } from '@keyturn/envelope'
import type { SealedRecords } from '@keyturn/ledger'

/** A key for one purpose, and the id that every record made with it carries. */
export interface DerivedKey {
  readonly id: string
  readonly key: KeyObject
}

/** What the root secret gives: one key for each purpose, so that none can stand in for another. */
export interface DerivedKeys {
  readonly audit: DerivedKey
  readonly token: DerivedKey
  readonly etag: DerivedKey
  readonly cursor: DerivedKey
  readonly idempotency: DerivedKey
  /** Of fingerprints: what says that two stores hold the same. */
  readonly fingerprint: DerivedKey
}

/** What the sealed root is called in the ledger. */
export const rootRecord = 'root'
const rootBytes = 32
const rootNumber = 1

/**
 * The keys that come from the root secret: 32 random bytes made once, sealed in the ledger. `unavailable` when the KEK that closed it is not
 * loaded. When two brokers start at once on one ledger, one of them makes it and both use that one.
 */
export async function derivedKeys(sealed: SealedRecords, sealer: EnvelopeSealer, random: Random): Promise<DerivedKeys> {
  const root = await openRoot(sealed, sealer, random)
  return derived(root)
}

/** The same keys from a sealed root that was found elsewhere. */
export function openRootCopy(sealed: Sealed, sealer: EnvelopeSealer): DerivedKeys {
  return derived(sealer.openRoot(rootNumber, sealed))
}

/** Every key, and the root wiped. */
function derived(root: Uint8Array): DerivedKeys {
  try {
    const derive = (purpose: string): DerivedKey => ({
      id: `r${rootNumber}.${purpose}`,
      key: createSecretKey(Buffer.from(hkdfSync('sha256', root, '', `keyturn/v1/${purpose}`, 32))),
    })
    const [audit, token, etag, cursor, idempotency, fingerprint] = [
      derive('audit'),
      derive('token'),
      derive('etag'),
      derive('cursor'),
      derive('idempotency'),
      derive('fingerprint'),
    ]
    return { audit, token, etag, cursor, idempotency, fingerprint }
  } finally {
    root.fill(0)
  }
}

/** A root that does not open is more often a wrong key under the right id than a changed ledger. */
function opened(sealer: EnvelopeSealer, sealed: Sealed): Uint8Array {
  try {
    return sealer.openRoot(rootNumber, sealed)
  } catch (cause) {
    if (!(cause instanceof BrokerError)) throw cause
    if (cause.code === 'unavailable') throw withoutRoot(sealed.kekId, cause)
    if (cause.code !== 'corrupt') throw cause
    throw new BrokerError(
      'corrupt',
      `the root secret does not open under KEK ${sealed.kekId}: that is another key than the one that closed it, or the ledger was changed`,
      {
        hint: `put the right key back as ${sealed.kekId}; only if it is the right one, restore the ledger from a backup`,
        cause,
      },
    )
  }
}

/** The root is always under the KEK that closes new values, or the one before: without it there is neither a token nor an audit chain. */
function withoutRoot(id: string, cause: BrokerError): BrokerError {
  return new BrokerError(
    'unavailable',
    `KEK ${id} closes what this deployment itself needs and is not loaded here: no broker starts without it`,
    {
      hint: `put KEK ${id} back; another one may replace it only after brokers that hold both have run`,
      detail: cause.detail ?? { kekId: id },
      cause,
    },
  )
}

async function openRoot(records: SealedRecords, sealer: EnvelopeSealer, random: Random): Promise<Uint8Array> {
  const before = await records.get(rootRecord)
  if (before !== null) return opened(sealer, before)
  const root = random.bytes(rootBytes)
  try {
    await records.put(rootRecord, sealer.sealRoot(rootNumber, root), null)
    return root
  } catch (error) {
    root.fill(0)
    if (!(error instanceof BrokerError) || error.code !== 'conflict') throw error
    return openRoot(records, sealer, random)
  }
}

/** Renews the wrap of the root secret. Whoever was faster did the same: `conflict` is looked at again. */
export async function rewrappedRoot(records: SealedRecords, sealer: EnvelopeSealer, to: string): Promise<void> {
  const before = await records.get(rootRecord)
  if (before === null || before.kekId === to) return
  try {
    await records.put(rootRecord, sealer.rewrapRoot(rootNumber, before, to), before)
  } catch (error) {
    if (!(error instanceof BrokerError) || error.code !== 'conflict') throw error
    await rewrappedRoot(records, sealer, to)
  }
}
