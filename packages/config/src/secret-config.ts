import { type SecretName, type SecretType, type Strategy, strategyTraits } from '@keyturn/core'
import type { Position } from '@keyturn/policy'
import type { Figure, SecretConfig, SecretPlace } from './config.ts'
import type { RotationTables } from './rotation-section.ts'
import { generateSchema } from './schema/secret-row.ts'
import type { Row } from './secret-rows.ts'
import { nodeAt } from './tree.ts'

const cacheMs = 30_000

/** What a build can do, and what stands around a secret. */
export interface SecretContext {
  readonly tables: RotationTables
  readonly builtStrategies: ReadonlySet<Strategy>
  /** The issuers that the config has, and whether this build has their kind. */
  readonly issuers: ReadonlyMap<string, { readonly built: boolean }>
}

/** Joins what row, type table, defaults and entries say of one secret. Pure; what cannot be kept is refused elsewhere. */
export function resolveSecret(
  name: SecretName,
  row: Row | undefined,
  places: readonly SecretPlace[],
  at: Position,
  context: SecretContext,
): SecretConfig {
  const given = row?.given ?? {}
  const type = given.type ?? 'generic'
  const { strategy, strategySource } = strategyOf(row, type)
  const grace = graceOf(row, type, strategy, context.tables)
  const cache = given.cache ?? Math.min(cacheMs, grace.ms)
  const fields = places[0]?.fields ?? null
  return {
    name,
    type,
    row: row !== undefined,
    owner: given.owner ?? null,
    labels: given.labels ?? {},
    strategy,
    strategySource,
    built: isBuilt(strategy, given.issuer, context),
    issuer: given.issuer ?? null,
    every: everyOf(row, type, strategy, context.tables),
    grace,
    rules: { windows: given.windows ?? context.tables.types.get(type)?.windows ?? [], freezes: context.tables.freezes },
    places,
    generate: given.generate ?? generateSchema.parse({}),
    renew: given.renew ?? (fields?.length === 1 ? fields : null),
    cacheMs: cache,
    maxStaleMs: given.maxStale ?? null,
    failClosed: given.failClosed ?? false,
    distributeMs: given.distribute ?? cache,
    approval: given.approval ?? false,
    runbook: given.runbook ?? null,
    verify: given.verify ?? [],
    consumers: given.consumers ?? [],
    // checked by the row's own rules before anybody uses it
    derive: given.derive === undefined || given.of === undefined ? null : { template: given.derive, of: given.of as SecretName },
    managed: given.managed ?? null,
    makeAtStart: strategy === 'generated' && row !== undefined,
    at: row?.at ?? at,
  }
}

/** The strategy a type has where its row names none; a target nobody can speak to is a person's task. */
export function defaultStrategy(type: SecretType, issuer: boolean): Strategy | null {
  switch (type) {
    case 'service-token':
      return 'generated'
    case 'jwt':
    case 'encryption-key':
      return 'key-set'
    case 'database':
      return issuer ? 'alternating-users' : 'external'
    case 'api-key':
    case 'oauth':
      return issuer ? 'api-key-pair' : 'external'
    case 'tls':
      return issuer ? 'tls' : 'external'
    case 'generic':
      return null
    default:
      return type satisfies never
  }
}

function strategyOf(row: Row | undefined, type: SecretType): Pick<SecretConfig, 'strategy' | 'strategySource'> {
  const given = row?.given
  if (given?.strategy !== undefined) return { strategy: given.strategy, strategySource: 'row' }
  if (given?.derive !== undefined || given?.managed !== undefined) return { strategy: null, strategySource: 'default' }
  return { strategy: defaultStrategy(type, given?.issuer !== undefined), strategySource: 'default' }
}

function isBuilt(strategy: Strategy | null, issuer: string | undefined, context: SecretContext): boolean {
  if (strategy === null) return true
  // a name that no issuer has is complained about elsewhere
  return context.builtStrategies.has(strategy) && (issuer === undefined || context.issuers.get(issuer)?.built !== false)
}

function everyOf(row: Row | undefined, type: SecretType, strategy: Strategy | null, tables: RotationTables): Figure | null {
  if (strategy === null || type === 'generic') return null
  const said = rowFigure(row, 'every') ?? tables.typeFigure(type, 'every')
  // a certificate is due by its own expiry unless somebody says otherwise
  return said ?? (type === 'tls' ? null : tables.config.every)
}

function graceOf(row: Row | undefined, type: SecretType, strategy: Strategy | null, tables: RotationTables): Figure {
  const said = rowFigure(row, 'grace') ?? tables.typeFigure(type, 'grace')
  if (said !== undefined) return said
  const { grace } = tables.config
  // nobody promised the default; a strategy that has no grace keeps none
  const none = strategy !== null && !strategyTraits[strategy].grace && grace.source === 'default'
  return none ? { ms: 0, source: 'strategy', at: null } : grace
}

function rowFigure(row: Row | undefined, key: 'every' | 'grace'): Figure | undefined {
  const ms = row?.given[key]
  const found = row === undefined ? undefined : nodeAt(row.tree, [key])
  return ms === undefined || found === undefined ? undefined : { ms, source: 'row', at: found.node.at }
}
