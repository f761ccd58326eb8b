import type { EnvelopeRow, StorePath } from '@keyturn/core'
import type { Ledger } from '@keyturn/ledger'
import type { SealedPart } from '../keys/sealed-parts.ts'

/** What knows the names of secrets. */
export interface NameParts {
  readonly ledger: Pick<Ledger, 'secrets'>
  readonly parts: readonly SealedPart[]
  /** The name of what lies at a path of a store; null: it has none. */
  readonly nameAt: (section: string, path: StorePath) => string | null
}

/**
 * The name of the secret that a row belongs to, for people. A store's row leads there by its path, which is the name where the config has none; where
 * nobody can say it now, it is the id in the row.
 */
export async function nameOfRow(known: NameParts, part: string, slot: EnvelopeRow['slot']): Promise<string> {
  const { kind, secretId } = slot
  if (kind === 'root') return secretId
  const place = known.parts.find(({ name }) => name === part)
  const { section } = place ?? {}
  try {
    if (place === undefined || section === undefined) return (await known.ledger.secrets.byId(secretId))?.name ?? secretId
    const path = await (await place.open()).pathOf?.(secretId)
    return path == null ? secretId : (known.nameAt(section, path) ?? path)
  } catch {
    // to name it is not worth to lose what is told of it
    return secretId
  }
}
