import type { Config, SecretPlace } from '@keyturn/config'
import { type SecretName, type StorePath, secretName } from '@keyturn/core'

/** Where one section keeps a secret. */
export type Place = Omit<SecretPlace, 'store'>

/** A secret that a section keeps, a path of it that can have no name, or one whose name the config gives to other stores. */
export type Kept =
  | { readonly name: SecretName; readonly place: Place }
  | { readonly unnamed: StorePath }
  | { readonly elsewhere: SecretName; readonly stores: readonly string[] }

/** Everything below a prefix of a store. */
type List = (under: string) => AsyncIterable<StorePath>

/** Where a section of a config keeps a name: the entry that has it, else its longest `under`, else anywhere if it takes any name. */
export function placeIn(config: Config, store: string, name: SecretName): Place | undefined {
  const entry = config.secrets.get(name)?.places.find(place => place.store === store)
  if (entry !== undefined) return entry
  const prefixes = config.prefixes.filter(prefix => prefix.store === store && name.startsWith(prefix.name))
  const [prefix] = prefixes.sort((a, b) => b.name.length - a.name.length)
  if (prefix !== undefined) {
    const path = `${prefix.under}${name.slice(prefix.name.length)}` as StorePath
    return { path, fields: null, format: prefix.format }
  }
  // such a store keeps a secret under its name
  return config.stores.get(store)?.takesAny === true ? { path: name as string as StorePath, fields: null, format: 'stored' } : undefined
}

/**
 * Every secret of a section, by its entries and by what its prefixes list now. A name that the config gives to another store is another secret, unless
 * that is `heir`: the store that is to keep it from now on.
 */
export async function* keptIn(config: Config, store: string, list: List, heir: string | null): AsyncIterable<Kept> {
  const named = [...config.secrets.values()].flatMap(({ name, places }) => {
    const place = places.find(each => each.store === store)
    return place === undefined ? [] : [{ name, place }]
  })
  yield* named
  const seen = new Set<string>(named.map(({ name }) => name))
  const taken = new Set<string>(named.map(({ place }) => place.path))
  const own = config.prefixes.filter(prefix => prefix.store === store)
  const any = config.stores.get(store)?.takesAny === true ? [{ under: '', name: '' }] : []
  for (const { under, name: prefix } of [...own, ...any]) {
    for await (const path of list(under)) {
      // an entry says what this path is called, or it stands below two prefixes
      if (taken.has(path)) continue
      const name = nameOf(`${prefix}${path.slice(under.length)}`)
      if (name === undefined) yield { unnamed: path }
      else if (seen.has(name)) continue
      else if (isOurs(config, name, path, store, heir)) {
        seen.add(name)
        const place = placeIn(config, store, name)
        if (place?.path === path) yield { name, place }
      } else {
        const stores = storesOf(config, name)
        // below two prefixes of this store it has another path
        if (!stores.includes(store)) yield { elsewhere: name, stores }
      }
    }
  }
}

function isOurs(config: Config, name: SecretName, path: StorePath, store: string, heir: string | null): boolean {
  const places = config.find(name)?.places ?? []
  return places.some(place => (place.store === store && place.path === path) || place.store === heir)
}

const storesOf = (config: Config, name: SecretName) => config.find(name)?.places.map(place => place.store) ?? []

function nameOf(text: string): SecretName | undefined {
  try {
    return secretName(text)
  } catch {
    return undefined
  }
}
