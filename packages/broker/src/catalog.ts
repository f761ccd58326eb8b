import type { Config, SecretConfig, SecretPlace } from '@keyturn/config'
import { BrokerError, type RotationSettings, type SecretName, type StorePath, secretName } from '@keyturn/core'
import type { Section } from './section.ts'

/** One store's place of a secret. */
export interface Place {
  readonly section: Section
  readonly path: StorePath
  /** The fields that the config names; null: all that are there. */
  readonly keys: readonly string[] | null
}

/** Where a secret is, and what the config says of it. Its own place is the first store's: what is current is said there. */
export interface Entry extends Place {
  readonly name: SecretName
  readonly config: SecretConfig
  /** The other stores of a name `from` several, in their order. */
  readonly others: readonly Place[]
  /** Named by the config, so it is known whether or not its store holds it. */
  readonly named: boolean
}

/** A part of a store whose names only the store knows. */
export interface Territory {
  readonly section: Section
  /** The store's prefix, as `list` takes it, and the broker's in its place. */
  readonly under: string
  readonly name: string
}

const none: readonly Place[] = []

/** Which store takes which name, in one config. */
export class Catalog {
  readonly sections: readonly Section[]
  readonly territories: readonly Territory[]
  readonly #config: Config
  readonly #sections: ReadonlyMap<string, Section>

  constructor(config: Config, sections: readonly Section[]) {
    this.#config = config
    this.sections = sections
    this.#sections = new Map(sections.map(section => [section.name, section]))
    const open = [...config.stores.values()].filter(store => store.takesAny).map(store => ({ store: store.name, under: '', name: '' }))
    this.territories = [...config.prefixes, ...open].map(({ store, under, name }) => ({ section: this.#section(store), under, name }))
  }

  /** The entry of a name; null when no store takes it. */
  find(name: SecretName): Entry | null {
    const config = this.#config.find(name)
    const place = config?.places[0]
    if (config === undefined || place === undefined) return null
    const others = config.places.length === 1 ? none : config.places.slice(1).map(other => this.#place(other))
    return { name, config, ...this.#place(place), others, named: this.#config.secrets.has(name) }
  }

  /** What to tell somebody who may know it about a name without an entry. */
  absence(name: SecretName): BrokerError {
    const config = this.#config.find(name)
    if (config === undefined) {
      return new BrokerError('not_found', 'no store takes this name', {
        hint: 'look at the name again: keyturn list shows those that you may see',
      })
    }
    const what = config.derive === null ? 'managed elsewhere and in no store' : 'derived from another'
    return new BrokerError('unsupported', `this secret is ${what}, which this build cannot serve`, {
      hint: 'read the secret it is made of, or name a store that holds it',
    })
  }

  /** The name of what lies at a path of a store; null: the config gives it none. */
  nameAt(store: string, path: StorePath): SecretName | null {
    const isThere = (place: SecretPlace) => place.store === store && place.path === path
    const named = [...this.#config.secrets.values()].find(({ places }) => places.some(isThere))
    if (named !== undefined) return named.name
    const names = this.territories.filter(({ section }) => section.name === store).flatMap(territory => nameIn(territory, path) ?? [])
    return names.find(name => this.#config.find(name)?.places.some(isThere)) ?? null
  }

  /** Every name that the config itself has, sorted. */
  named(): readonly SecretName[] {
    return [...this.#config.secrets.values()].filter(secret => secret.places.length > 0).map(secret => secret.name)
  }

  /** Every name that a territory's store has now; paths that are no name of ours, or that another entry took, are left out. */
  async *names(territory: Territory): AsyncIterable<SecretName> {
    const paths = await territory.section.ask(store => collect(store.list(territory.under)))
    for (const path of paths) {
      const name = nameIn(territory, path)
      if (name !== undefined && this.#config.find(name)?.places[0]?.store === territory.section.name) yield name
    }
  }

  #place(place: SecretPlace): Place {
    return { section: this.#section(place.store), path: place.path, keys: place.fields }
  }

  #section(name: string): Section {
    const section = this.#sections.get(name)
    if (section === undefined) throw new BrokerError('internal', `the config names store ${name}, which was not set up`)
    return section
  }
}

/** All of a list, or the error that ended it. */
export async function collect<T>(items: AsyncIterable<T>): Promise<readonly T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

function nameIn(territory: Territory, path: StorePath): SecretName | undefined {
  if (!path.startsWith(territory.under)) return undefined
  try {
    return secretName(territory.name + path.slice(territory.under.length))
  } catch {
    return undefined
  }
}

/** What the engine needs of a row. */
export function settingsOf(config: SecretConfig): RotationSettings {
  const { type, every, grace, generate, renew, rules, distributeMs, approval } = config
  return { type, everyMs: every?.ms ?? null, graceMs: grace.ms, generate, renew, rules, distributeMs, approval }
}
