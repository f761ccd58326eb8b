import type { Config } from '@keyturn/config'
import { EnvelopeSealer } from '@keyturn/envelope'
import { openLedger } from '@keyturn/ledger'
import { systemClock } from '../clock.ts'
import { openKeyring } from '../keys/keyring.ts'
import { ledgerMeter } from '../keys/ledger-meter.ts'
import { derivedKeys } from '../keys/root.ts'
import { pooledRandom } from '../random.ts'
import { issueToken } from './issue.ts'

/** A token that was made without a broker; the text is shown once. */
export interface OfflineToken {
  readonly id: string
  readonly name: string
  readonly role: string
  readonly token: string
  readonly expires_at: string | null
}

/** Makes a token in the ledger itself, for when the first one is lost. `conflict` while a broker holds an embedded ledger. `ttl` in seconds. */
export async function makeOfflineToken(
  config: Config,
  wish: { readonly role: string; readonly ttl: number; readonly name?: string },
  env: NodeJS.ProcessEnv,
): Promise<OfflineToken> {
  const random = pooledRandom()
  const { data, ledger: url } = config.broker
  const keyring = await openKeyring(config.broker, { env, random, fresh: false })
  const ledger = await openLedger({ data, clock: systemClock, random, ...(url === null ? {} : { url }) })
  try {
    const meter = await ledgerMeter(ledger, keyring)
    const keys = await derivedKeys(ledger.sealed, new EnvelopeSealer({ keyring, random, store: ledger.id, meter }), random)
    const parts = { clock: systemClock, random, ledger, keys, policy: config.access.policy, sessions: { forget: () => undefined } }
    const { token, row } = await issueToken(parts, {
      role: wish.role,
      ttlMs: wish.ttl * 1000,
      ...(wish.name === undefined ? {} : { name: wish.name }),
    })
    return { id: row.id, name: row.name, role: row.role, token, expires_at: row.expiresAt?.toISOString() ?? null }
  } finally {
    await ledger.close()
  }
}
