import { BrokerError, type DumpedSecret, type KekUse } from '@keyturn/core'
import type { SealedPart } from '../keys/sealed-parts.ts'

/** One database whose versions go into a bundle. */
export interface BackupSource {
  /** The random id that its envelopes are bound to. */
  readonly store: string
  /** The section of the config. */
  readonly section: string
  dump(options: { readonly signal: AbortSignal }): AsyncIterable<DumpedSecret>
  keks(): Promise<readonly KekUse[]>
}

const storePrefix = 'store '

/** Opens every sealed store. Whatever cannot be opened keeps the bundle from being made: half of it would look like all of it. */
export async function backupSources(parts: readonly SealedPart[]): Promise<readonly BackupSource[]> {
  const stores = parts.filter(({ name }) => name.startsWith(storePrefix))
  return Promise.all(
    stores.map(async part => {
      const envelopes = await part.open()
      const section = part.name.slice(storePrefix.length)
      if (envelopes.dump === undefined)
        throw new BrokerError('unsupported', `store ${section} cannot be backed up: it does not tell what it keeps`)
      const dump: BackupSource['dump'] = options => envelopes.dump?.(options) ?? none()
      return { store: envelopes.store, section, dump, keks: () => envelopes.keks() }
    }),
  )
}

async function* none(): AsyncGenerator<DumpedSecret> {}
