import type { Config, Kind, Kinds, StoreSection } from '@keyturn/config'
import type { OpenContext, StoreAdapter } from '@keyturn/core'
import type { Keyring } from '@keyturn/envelope'

/** A section, and every path that the config names in it. */
export type NamedSection = StoreSection & { readonly paths: readonly string[] }

/** What a store of any kind may need. */
export interface StoreNeeds {
  readonly context: OpenContext
  readonly keyring: Keyring
  /** Where an SDK's own variables are looked for. */
  readonly env: NodeJS.ProcessEnv
}

/** Opens a section of its kind. Nothing of the backend's SDK is loaded before this is called. */
export type OpenStore = (section: NamedSection, needs: StoreNeeds) => Promise<StoreAdapter>

/**
 * The kinds of stores of this build, as the config asks for them. The only place that names adapters: options and names are read from
 * the part of an adapter that loads no SDK, the rest comes with `load`.
 */
export async function kinds(): Promise<Kinds<OpenStore>> {
  // the config gives `open` and `nameOf` what the kind's own schema made of a section: the casts below name its type again
  const [vault, dotenv, database] = await Promise.all([
    import('@keyturn/adapter-vault/options'),
    import('@keyturn/adapter-dotenv/options'),
    import('@keyturn/adapter-database/options'),
  ])
  return {
    vault: {
      options: vault.options,
      nameOf: (path, options) => vault.nameOf(path, options as Parameters<typeof vault.nameOf>[1]),
      load: async () => {
        const { open } = await import('@keyturn/adapter-vault')
        return (section, { context, env }) => open(merged(section) as unknown as Parameters<typeof open>[0], context, env)
      },
    },
    dotenv: {
      options: dotenv.options,
      nameOf: (path, options) => dotenv.nameOf(path, options as Parameters<typeof dotenv.nameOf>[1]),
      keyed: 'none',
      holds: 'text',
      unlisted: { paths: (options, read) => dotenv.paths(options as Parameters<typeof dotenv.paths>[0], read) },
      load: async () => {
        const { open } = await import('@keyturn/adapter-dotenv')
        return async (section, { context }) => open(section.options as Parameters<typeof open>[0], context)
      },
    },
    database: {
      options: database.options,
      nameOf: path => database.nameOf(path),
      holds: 'either',
      unlisted: 'any',
      load: async () => {
        const { open } = await import('@keyturn/adapter-database')
        return (section, { context, keyring }) => open(section.options as Parameters<typeof open>[0], context, keyring)
      },
    },
  } satisfies Record<string, Kind<OpenStore>>
}

/** A kind's own options and what every section may have, as an adapter that speaks to a server takes them. */
function merged(section: NamedSection): object {
  const { options, ca, proxy, maxInFlight, paths } = section
  return {
    ...options,
    maxInFlight,
    ...(ca === null ? {} : { ca }),
    ...(proxy === null ? {} : { proxy }),
    secrets: paths.map(path => ({ path })),
  }
}

/** Every path that a config names in a store: some kinds tell the kind of their backend by it. */
export function pathsIn(config: Config, store: string): readonly string[] {
  const named = [...config.secrets.values()].flatMap(({ places }) =>
    places.filter(place => place.store === store).map(place => place.path as string),
  )
  return [...named, ...config.prefixes.filter(prefix => prefix.store === store).map(prefix => prefix.under)]
}
