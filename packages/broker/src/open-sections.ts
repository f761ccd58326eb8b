import type { KeyObject } from 'node:crypto'
import type { Config, Kinds } from '@keyturn/config'
import { BrokerError, type Clock, type Random, type StorePath } from '@keyturn/core'
import type { Keyring } from '@keyturn/envelope'
import type { Logger } from 'pino'
import { type OpenStore, pathsIn } from './compose.ts'
import { jsonFields } from './json-fields.ts'
import { Section } from './section.ts'

/** What opening the stores of a config takes. */
export interface SectionParts {
  readonly config: Config
  readonly kinds: Kinds<OpenStore>
  readonly clock: Clock
  readonly random: Random
  readonly env: NodeJS.ProcessEnv
  readonly log?: Logger
}

/** The stores of a config, none of them opened yet. */
export function openSections(parts: SectionParts, keys: { readonly keyring: Keyring; readonly etagKey: KeyObject }): readonly Section[] {
  const { config, kinds, clock, random, env, log } = parts
  const context = { clock, random, etagKey: keys.etagKey, data: config.broker.data, production: config.environment === 'production' }
  return [...config.stores.values()].map(store => {
    const { name, kind, timeoutMs } = store
    const load = async () => {
      const found = kinds[kind]
      if (found === undefined) throw new BrokerError('unsupported', `no adapter for kind ${kind} in this build`)
      const open = await found.load()
      const adapter = await open({ ...store, paths: pathsIn(config, name) }, context, { env, keyring: keys.keyring })
      const isJson = jsonPaths(config, name)
      return isJson === undefined ? adapter : jsonFields(adapter, isJson)
    }
    return new Section({ name, kind, clock, timeoutMs, load, ...(log === undefined ? {} : { log }) })
  })
}

/** Which paths of a store hold their fields in one JSON text; undefined when none does. */
function jsonPaths(config: Config, store: string): ((path: StorePath) => boolean) | undefined {
  const isOurs = (place: { readonly store: string; readonly format: string }) => place.store === store && place.format === 'json'
  const paths = new Set([...config.secrets.values()].flatMap(({ places }) => places.filter(isOurs).map(place => place.path)))
  const prefixes = config.prefixes.filter(isOurs).map(prefix => prefix.under)
  if (paths.size === 0 && prefixes.length === 0) return undefined
  return path => paths.has(path) || prefixes.some(prefix => path.startsWith(prefix))
}
