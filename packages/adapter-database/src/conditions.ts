import { BrokerError, type Etag, type StorePath } from '@keyturn/core'
import type { KnownRow, SecretRow, VersionRow } from './rows.ts'
import { etagOf } from './versions.ts'
import type { Making } from './writer.ts'

/** Refuses to stage for a deleted secret, and to write over what is not as it was seen. */
export function mustAllow({ act, path, options }: Making, secret: SecretRow | undefined, known: readonly KnownRow[]): void {
  const live = secret !== undefined && secret.deletedAt === null
  if (act === 'stage' && secret !== undefined && !live) {
    throw new BrokerError('precondition_failed', `${path} was deleted; nothing can be staged there`, {
      hint: 'restore it, or write it anew',
    })
  }
  const readable = live && known.some(({ label }) => label === 'current')
  mustMatch(path, options.ifMatch, readable ? etagOf(secret) : null)
}

/** `conflict` when something else is there than what was seen. */
export function mustMatch(path: StorePath, wanted: Etag | null | undefined, etag: Etag | null): void {
  if (wanted === undefined || wanted === etag) return
  const why = wanted === null ? 'is there already' : 'has changed since it was read'
  throw new BrokerError('conflict', `${path} ${why}`, { hint: 'read it again' })
}

/** A secret is one value or a set of fields, as it was first written; only a deletion ends that. */
export function mustKeepForm(
  path: StorePath,
  secret: SecretRow,
  newest: Pick<VersionRow, 'kind'> | undefined,
  kind: VersionRow['kind'],
): void {
  if (newest === undefined || secret.deletedAt !== null) return
  const fields = newest.kind === 'fields'
  if (fields === (kind === 'fields')) return
  const [is, write] = fields ? ['a set of fields', 'fields'] : ['one value', 'one value']
  throw new BrokerError('invalid_argument', `${path} is ${is}, as it was first written`, {
    hint: `write ${write}; to change its form, delete the secret and write it anew`,
  })
}
