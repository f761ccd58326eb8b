import type { KeyObject } from 'node:crypto'
import type { Config } from '@keyturn/config'
import { EnvelopeSealer } from '@keyturn/envelope'
import { pooledRandom } from '../random.ts'
import { openKeyring } from './keyring.ts'
import { openRootCopy } from './root.ts'
import { readRootCopy } from './root-copy.ts'

/** The keys of the audit chain by their id, from the broker's own files: also while it runs. `unavailable` when the KEK is not at hand. */
export async function auditKeys(config: Config, env: NodeJS.ProcessEnv): Promise<(id: string) => KeyObject | undefined> {
  const random = pooledRandom()
  const keyring = await openKeyring(config.broker, { env, random, fresh: false })
  const { ledger, sealed } = readRootCopy(config.broker.data)
  const { audit } = openRootCopy(sealed, new EnvelopeSealer({ keyring, random, store: ledger, meter: null }))
  return id => (id === audit.id ? audit.key : undefined)
}
