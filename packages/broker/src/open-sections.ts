import type { KeyObject } from 'node:crypto'
import type { Config, Kinds } from '@keyturn/config'
import { BrokerError, type Clock, type Random } from '@keyturn/core'
import type { Keyring } from '@keyturn/envelope'
import { type OpenStore, pathsIn } from './compose.ts'
import { Section } from './section.ts'

/** What opening the stores of a config takes. */
export interface SectionParts {
  readonly config: Config
  readonly kinds: Kinds<OpenStore>
  readonly clock: Clock
  readonly random: Random
  readonly env: NodeJS.ProcessEnv
}

/** The stores of a config, none of them opened yet. */
export function openSections(parts: SectionParts, keys: { readonly keyring: Keyring; readonly etagKey: KeyObject }): readonly Section[] {
  const { config, kinds, clock, random, env } = parts
  const context = { clock, random, etagKey: keys.etagKey, data: config.broker.data }
  return [...config.stores.values()].map(store => {
    const { name, kind, timeoutMs } = store
    const load = async () => {
      const found = kinds[kind]
      if (found === undefined) throw new BrokerError('unsupported', `no adapter for kind ${kind} in this build`)
      const open = await found.load()
      return open({ ...store, paths: pathsIn(config, name) }, { context, keyring: keys.keyring, env })
    }
    return new Section({ name, kind, clock, timeoutMs, load })
  })
}
