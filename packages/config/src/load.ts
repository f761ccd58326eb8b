import type { Strategy } from '@keyturn/core'
import { Complaints, ConfigError } from './complaint.ts'
import type { BrokerSettings, Config } from './config.ts'
import { checkCopies } from './copies.ts'
import { type Entries, readEntries } from './entries.ts'
import { readSettings } from './environment.ts'
import { type FileReader, joinFiles } from './include.ts'
import type { Environment } from './interpolate.ts'
import { refuseSharedBackends, refuseSharedPrefixes, takeInventory } from './inventory.ts'
import type { IssuerKind, Kinds } from './kind.ts'
import { readRotation, refuseUnknownNames } from './rotation-section.ts'
import { readRows } from './secret-rows.ts'
import { resolveSecrets, type Secrets } from './secrets.ts'
import {
  readAccess,
  readBroker,
  readEnvironment,
  readIssuers,
  readPublish,
  readWatching,
  type SectionContext,
  testPolicy,
} from './sections.ts'
import { type OpenSections, readStoreSections } from './store-sections.ts'
import type { Mapping } from './tree.ts'
import { unprinted } from './unprinted.ts'

/** What a config is read with: nothing is taken from the process. */
export interface LoadOptions {
  readonly env: Environment
  /** The kinds of stores of this build. */
  readonly kinds: Kinds
  readonly reader: FileReader
  /** What relative paths of `file` and `KEYTURN_DATA` start from; absolute. */
  readonly cwd: string
  /** The kinds of issuers of this build; others are named `not built`. */
  readonly issuerKinds?: Readonly<Record<string, IssuerKind>>
  /** The strategies of this build; others are named `not built`. Default: `generated`. */
  readonly strategies?: readonly Strategy[]
}

/** Reads a config with everything it includes. Throws `ConfigError` with all that is wrong, and nothing else. */
export async function loadConfig(file: string, options: LoadOptions): Promise<Config> {
  const complaints = new Complaints()
  const joined = await joinFiles(file, { ...options, complaints })
  const config = joined === undefined ? undefined : await readConfig(joined.root, joined.files, options, complaints)
  const found = complaints.sorted()
  if (config === undefined || complaints.failed) throw new ConfigError(found)
  return unprinted({ ...config, warnings: found }, { files: config.files, environment: config.environment })
}

type Unwarned = Omit<Config, 'warnings'>

async function readConfig(
  root: Mapping,
  files: readonly string[],
  options: LoadOptions,
  complaints: Complaints,
): Promise<Unwarned | undefined> {
  const file = root.at.file
  const settings = readSettings(options.env, { file, line: 1, column: 1 }, complaints)
  const context: SectionContext = { root, file, cwd: options.cwd, settings, complaints }
  const environment = readEnvironment(context)
  const broker = readBroker(context)
  const sections = readStoreSections(root, options.kinds, options.cwd, complaints)
  refuseForProduction(environment, broker, sections, context)
  const tables = readRotation(root, settings, complaints)
  const issuers = readIssuers(context, options.issuerKinds ?? {})
  const declared = new Map([...(sectionKeys(root, 'issuers') ?? [])].map(name => [name, { built: issuers.get(name)?.options !== null }]))
  const stores = new Map(sections.open.map(({ section }) => [section.name, section]))
  const { secrets, prefixes, incomplete } = await readSecrets(context, options, sections, stores, {
    tables,
    builtStrategies: new Set(options.strategies ?? ['generated']),
    issuers: declared,
  })
  if (!incomplete) refuseUnknownNames(root, tables.config.groups, secrets.find, complaints)
  const copies = readPublish(context)
  checkCopies(root, copies, { stores, find: secrets.find }, incomplete, complaints)
  const access = readAccess(context)
  const watching = readWatching(context, broker)
  if (access === undefined) return undefined
  // a test may fail only because something else did
  if (!complaints.failed) testPolicy(access, secrets.find, complaints)
  return {
    files,
    environment,
    broker,
    stores,
    secrets: secrets.all,
    find: secrets.find,
    prefixes,
    issuers,
    rotation: tables.config,
    publish: copies.map(({ copy }) => copy),
    access,
    ...watching,
  }
}

function sectionKeys(root: Mapping, name: string): Iterable<string> | undefined {
  const section = root.entries.get(name)?.value
  return section?.kind === 'mapping' ? section.entries.keys() : undefined
}

async function readSecrets(
  context: SectionContext,
  options: LoadOptions,
  sections: OpenSections,
  stores: Config['stores'],
  secretContext: Parameters<typeof resolveSecrets>[1],
): Promise<{ readonly secrets: Secrets; readonly prefixes: Config['prefixes']; readonly incomplete: boolean }> {
  const { root, cwd, complaints } = context
  const read: Entries[] = []
  for (const open of sections.open) read.push(await readEntries(open, options.reader, complaints))
  const paths = read.flatMap(entries => entries.paths)
  const prefixes = read.flatMap(entries => entries.prefixes)
  refuseSharedBackends(paths, stores, complaints)
  refuseSharedPrefixes(prefixes, complaints)
  const all = [...stores.values()].filter(section => section.takesAny)
  for (const section of all.slice(1)) {
    complaints.error(
      section.at,
      section.name,
      `${all[0]?.name} takes every name already`,
      'name what this section serves: secrets: - path: ...',
    )
  }
  const sources = {
    kept: takeInventory(paths, complaints),
    prefixes: new Map(prefixes.map(prefix => [prefix.name, prefix])),
    stores,
    rows: readRows(root, cwd, complaints),
    incomplete: sections.incomplete || read.some(entries => entries.incomplete),
  }
  return { secrets: resolveSecrets(sources, secretContext, complaints), prefixes, incomplete: sources.incomplete }
}

function refuseForProduction(environment: string | null, broker: BrokerSettings, sections: OpenSections, context: SectionContext): void {
  if (environment !== 'production') return
  const { complaints, root } = context
  for (const { section } of sections.open) {
    if (section.kind !== 'dotenv' || broker.allow.includes('dotenv')) continue
    complaints.error(
      section.at,
      section.name,
      'a store of kind dotenv in production',
      'keep it elsewhere, or write broker: { allow: [dotenv] }',
    )
  }
  const at = (root.entries.get('broker') ?? root.entries.get('environment'))?.at ?? root.at
  if (!isLoopback(broker.listen.host) && !broker.allow.includes('plaintext-admin')) {
    complaints.error(
      at,
      'broker.listen',
      'plain HTTP beyond this machine in production',
      'listen on 127.0.0.1 behind a TLS proxy, or write broker: { allow: [plaintext-admin] }',
    )
  }
  const { keys, data } = broker
  if (keys.provider === 'file' && (keys.folder ?? data).startsWith(data)) {
    complaints.warning(
      at,
      'broker.keys',
      'the keys lie beside the data they close',
      'use another provider, or keys: { provider: file, folder: ... } on another disk',
    )
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\./.test(host)
}
