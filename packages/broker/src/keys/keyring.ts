import { join } from 'node:path'
import type { BrokerSettings } from '@keyturn/config'
import { BrokerError, type Random } from '@keyturn/core'
import { Keyring } from '@keyturn/envelope'
import { envKeys } from './env-keys.ts'
import { fileKeys } from './file-keys.ts'

/** The KEKs of a config. `fresh: true` says that nothing was ever closed here, so that a first key may be made. */
export function openKeyring(
  settings: BrokerSettings,
  options: { readonly env: NodeJS.ProcessEnv; readonly random: Random; readonly fresh: boolean },
): Keyring {
  const { keys, data } = settings
  switch (keys.provider) {
    case 'env':
      return new Keyring(envKeys(keys.prefix, options.env))
    case 'file':
      return new Keyring(fileKeys(keys.folder ?? join(data, 'keys'), { make: options.fresh, random: options.random }))
    case 'vault-transit':
    case 'aws-kms':
      throw new BrokerError('unsupported', `the key provider ${keys.provider} is not in this build`, {
        hint: 'take the provider file or env',
      })
    default:
      return keys satisfies never
  }
}
