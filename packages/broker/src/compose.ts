import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { BrokerSettings, Config, Kind, Kinds, StoreSection } from '@keyturn/config'
import { BrokerError, type Clock, type OpenContext, type StoreAdapter } from '@keyturn/core'
import type { KekWrapper, Keyring } from '@keyturn/envelope'
import type { MigratedSchema } from '@keyturn/ledger'

/** A section, and every path that the config names in it. */
export type NamedSection = StoreSection & { readonly paths: readonly string[] }

/** What a store may need beside its context: where its SDK's own variables are looked for, and the keys of what Keyturn seals itself. */
export interface StoreNeeds {
  readonly env: NodeJS.ProcessEnv
  readonly keyring: Keyring
}

/** Opens a section of its kind. Nothing of the backend's SDK is loaded before this is called. */
export type OpenStore = (section: NamedSection, context: OpenContext, needs: StoreNeeds) => Promise<StoreAdapter>

/** An adapter: the part that a config is read with, which loads no SDK, and the part that opens it. What `options` make of a section is what `open` and the others take. */
interface Adapter {
  readonly light: () => Promise<
    Omit<Kind, 'load' | 'nameOf' | 'unlisted'> & { nameOf(path: string, options: never): string; unlisted?: unknown }
  >
  readonly whole: () => Promise<{ open(options: never, context: OpenContext, needs: StoreNeeds): StoreAdapter | Promise<StoreAdapter> }>
}

/** Every kind of store of this build, by the word that a config calls it. */
const adapters: Readonly<Record<string, Adapter>> = {
  vault: { light: () => import('@keyturn/adapter-vault/options'), whole: () => import('@keyturn/adapter-vault') },
  aws: { light: () => import('@keyturn/adapter-aws/options'), whole: () => import('@keyturn/adapter-aws') },
  azure: { light: () => import('@keyturn/adapter-azure/options'), whole: () => import('@keyturn/adapter-azure') },
  gcp: { light: () => import('@keyturn/adapter-gcp/options'), whole: () => import('@keyturn/adapter-gcp') },
  kubernetes: { light: () => import('@keyturn/adapter-kubernetes/options'), whole: () => import('@keyturn/adapter-kubernetes') },
  dotenv: { light: () => import('@keyturn/adapter-dotenv/options'), whole: () => import('@keyturn/adapter-dotenv') },
  database: { light: () => import('@keyturn/adapter-database/options'), whole: () => import('@keyturn/adapter-database') },
}

/** The kinds that close their values under the broker's KEKs: the keys cannot be accounted for without asking them. */
export const sealingKinds: ReadonlySet<string> = new Set(['database'])

/** Brings the schema of a sealed store up to date, without its keys. */
export async function migrateSealed(section: NamedSection, context: OpenContext): Promise<MigratedSchema> {
  const { migrate } = await import('@keyturn/adapter-database')
  return migrate(merged(section) as never, context) // what `options` made of a section of this kind
}

/** The kinds of stores of this build, as the config asks for them. */
export async function kinds(): Promise<Kinds<OpenStore>> {
  const entries = Object.entries(adapters).map(async ([kind, adapter]) => [kind, await kindOf(adapter)] as const)
  return Object.fromEntries(await Promise.all(entries))
}

async function kindOf({ light, whole }: Adapter): Promise<Kind<OpenStore>> {
  const load = async (): Promise<OpenStore> => {
    const { open } = await whole()
    return async (section, context, needs) => open(merged(section) as never, context, needs)
  }
  // what `options` made of a section is what the adapter's own functions take: the types of the two meet here, and only here
  return { ...((await light()) as unknown as Omit<Kind, 'load'>), load }
}

/** A kind's own options and what every section may have, as an adapter that speaks to a server takes them. */
function merged(section: NamedSection): object {
  const { name, options, ca, proxy, maxInFlight, paths } = section
  return {
    ...options,
    maxInFlight,
    ...(ca === null ? {} : { ca: authorities(`store ${name}`, ca) }),
    ...(proxy === null ? {} : { proxy }),
    secrets: paths.map(path => ({ path })),
  }
}

/** The text of a PEM file. One that holds no certificate would only be found out as a server that nobody trusts. */
function authorities(whose: string, file: string): string {
  try {
    const text = readFileSync(file, 'utf8')
    new X509Certificate(text)
    return text
  } catch (cause) {
    throw new BrokerError('invalid_argument', `${whose}: no authorities can be read from ${file}`, {
      hint: 'name a PEM file with certificates as `ca`',
      cause,
    })
  }
}

type WrappingKeys = Exclude<BrokerSettings['keys'], { readonly provider: 'file' | 'env' }>

/** What closes KEKs by a key elsewhere, as a config names it. Nothing of a provider is loaded before this is called. */
export async function openWrapper(
  keys: WrappingKeys,
  context: { readonly env: NodeJS.ProcessEnv; readonly clock: Clock },
): Promise<KekWrapper> {
  if (keys.provider === 'aws-kms') return (await import('@keyturn/kek-aws-kms')).openAwsKms(keys, context)
  const { ca, ...transit } = keys
  const { openVaultTransit } = await import('@keyturn/kek-vault-transit')
  return openVaultTransit({ ...transit, ...(ca === undefined ? {} : { ca: authorities('broker.keys', ca) }) }, context)
}

/** Every path that a config names in a store: some kinds tell the kind of their backend by it. */
export function pathsIn(config: Config, store: string): readonly string[] {
  const named = [...config.secrets.values()].flatMap(({ places }) =>
    places.filter(place => place.store === store).map(place => place.path as string),
  )
  return [...named, ...config.prefixes.filter(prefix => prefix.store === store).map(prefix => prefix.under)]
}
