import { createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'
import { BrokerError, type Random } from '@keyturn/core'
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
}

const record = 'root'
const rootBytes = 32
const rootNumber = 1

/**
 * The keys that come from the root secret: 32 random bytes made once, sealed in the ledger. `unavailable` when the KEK that closed it is not
 * loaded. When two brokers start at once on one ledger, one of them makes it and both use that one.
 */
export async function derivedKeys(sealed: SealedRecords, sealer: EnvelopeSealer, random: Random): Promise<DerivedKeys> {
  const root = await openRoot(sealed, sealer, random)
  try {
    const derive = (purpose: string): DerivedKey => ({
      id: `r${rootNumber}.${purpose}`,
      key: createSecretKey(Buffer.from(hkdfSync('sha256', root, '', `keyturn/v1/${purpose}`, 32))),
    })
    return {
      audit: derive('audit'),
      token: derive('token'),
      etag: derive('etag'),
      cursor: derive('cursor'),
      idempotency: derive('idempotency'),
    }
  } finally {
    root.fill(0)
  }
}

async function openRoot(records: SealedRecords, sealer: EnvelopeSealer, random: Random): Promise<Uint8Array> {
  const before = await records.get(record)
  if (before !== null) return sealer.openRoot(rootNumber, before)
  const root = random.bytes(rootBytes)
  try {
    await records.put(record, sealer.sealRoot(rootNumber, root), null)
    return root
  } catch (error) {
    root.fill(0)
    if (!(error instanceof BrokerError) || error.code !== 'conflict') throw error
    return openRoot(records, sealer, random)
  }
}
