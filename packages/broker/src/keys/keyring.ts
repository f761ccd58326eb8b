import { join } from 'node:path'
import type { BrokerSettings } from '@keyturn/config'
import { BrokerError, type Clock, type Random } from '@keyturn/core'
import { type KekProvider, Keyring } from '@keyturn/envelope'
import type { Keks } from '@keyturn/ledger'
import { systemClock } from '../clock.ts'
import { openWrapper } from '../compose.ts'
import { readKekCopy } from './kek-copy.ts'
import { envProvider } from './providers/env.ts'
import { fileProvider } from './providers/file.ts'
import { wrappedKeys } from './providers/wrapped.ts'

export interface ProviderOptions {
  readonly env: NodeJS.ProcessEnv
  readonly random: Random
  readonly clock: Clock
  /** Nothing was ever closed here, so that a first key may be made. */
  readonly fresh: boolean
  /** The ledger, where it is open; null: its copy in the data folder is read. */
  readonly ledger: { readonly id: string; readonly keks: Pick<Keks, 'all' | 'meet' | 'move'> } | null
  /** Told what did not work in the background and is no reason to give nothing. */
  readonly trouble: (error: unknown) => void
}

/** The provider of a config's keys. Nothing of a cloud's SDK is loaded for the providers that need none. */
export async function openProvider(settings: BrokerSettings, options: ProviderOptions): Promise<KekProvider> {
  const { keys, data } = settings
  if (keys.provider === 'env') return envProvider(keys.prefix, options.env)
  if (keys.provider === 'file') {
    const { random, clock, fresh } = options
    return fileProvider({ folder: keys.folder ?? join(data, 'keys'), random, clock, make: fresh })
  }
  const place = options.ledger ?? offlineLedger(data)
  const wrapper = await openWrapper(keys, options)
  return wrappedKeys({ ...options, ...placeParts(place), wrapper, maxAgeMs: keys.maxAge, writes: options.ledger !== null })
}

function placeParts({ id, keks }: NonNullable<ProviderOptions['ledger']>) {
  return { ledgerId: id, keks }
}

/** The KEKs of a config for whoever works beside its broker: as they are now, with the one current that the broker last used. */
export async function openKeyring(
  settings: BrokerSettings,
  options: Pick<ProviderOptions, 'env' | 'random' | 'fresh'> & { readonly ledger?: ProviderOptions['ledger'] },
): Promise<Keyring> {
  const provider = await openProvider(settings, { ledger: null, ...options, clock: systemClock, trouble: () => undefined })
  try {
    const keyring = new Keyring(await provider.load(new AbortController().signal))
    const used = readKekCopy(settings.data)?.current
    if (used !== undefined && keyring.has(used)) keyring.use(used)
    return keyring
  } finally {
    await provider.close()
  }
}

/** What a broker left of its ledger: to be read only. */
function offlineLedger(data: string): NonNullable<ProviderOptions['ledger']> {
  const copy = readKekCopy(data)
  if (copy === null) {
    throw new BrokerError('not_found', `${join(data, 'keks.json')} is missing`, { hint: 'keyturn serve makes it at its first start' })
  }
  const refuse = () =>
    Promise.reject(new BrokerError('unsupported', 'the keys are read from a copy of the ledger', { hint: 'ask the broker' }))
  return { id: copy.ledger, keks: { all: async () => copy.keks, meet: refuse, move: refuse } }
}
