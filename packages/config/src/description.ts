import type { Config, Figure, SecretConfig } from './config.ts'
import { formatDuration } from './duration.ts'

/** One secret as `keyturn check` prints it: words only, every figure with its source. */
export interface DescribedSecret {
  readonly name: string
  /** The stores, in the order of `from`. */
  readonly stores: readonly string[]
  readonly type: string
  readonly owner: string | null
  /** Null: not scheduled. */
  readonly every: DescribedFigure | null
  readonly grace: DescribedFigure
  readonly strategy: { readonly value: string; readonly source: 'row' | 'default' } | null
  readonly notes: readonly string[]
}

/** A figure in words, with its source. */
export interface DescribedFigure {
  /** As a config writes it: `90d`, `1h30m`. */
  readonly value: string
  readonly seconds: number
  readonly source: string
  /** `file:line:column`; null for the environment and the defaults. */
  readonly at: string | null
}

/** Every secret of a config, sorted by name. */
export function describeConfig(config: Config): readonly DescribedSecret[] {
  return [...config.secrets.values()].map(secret => ({
    name: secret.name,
    stores: secret.places.map(place => place.store),
    type: secret.type,
    owner: secret.owner,
    every: secret.every === null ? null : describeFigure(secret.every),
    grace: describeFigure(secret.grace),
    strategy: secret.strategy === null ? null : { value: secret.strategy, source: secret.strategySource },
    notes: notesOf(secret, config),
  }))
}

function describeFigure({ ms, source, at }: Figure): DescribedFigure {
  return { value: formatDuration(ms), seconds: ms / 1000, source, at: at === null ? null : `${at.file}:${at.line}:${at.column}` }
}

function notesOf(secret: SecretConfig, config: Config): readonly string[] {
  const notes: string[] = []
  if (secret.derive !== null) notes.push(`made of ${secret.derive.of}, never stored`)
  else if (secret.managed !== null) notes.push(`managed by ${secret.managed}: watched, never rotated here`)
  else if (!secret.row) notes.push('untyped: readable, not scheduled')
  else if (secret.type === 'generic') notes.push('generic: readable, not scheduled')
  if (!secret.built) notes.push(notBuilt(secret, config))
  if (secret.strategy === 'external' && secret.built) notes.push("a person's task: keyturn enter")
  if (secret.type === 'tls' && secret.strategy !== null && secret.every === null) notes.push('due before it expires')
  if (secret.makeAtStart) notes.push('made at start where it is absent')
  return notes
}

function notBuilt(secret: SecretConfig, config: Config): string {
  const issuer = config.issuers.get(secret.issuer ?? '')
  return issuer?.options === null ? `not built: issuers of kind ${issuer.kind}` : `not built: ${secret.strategy}`
}
