import type { SecretId } from '@keyturn/core'
import { type Dialect, integer, integerOrNull, type Row, type SqlValue, type Transaction, text, textOrNull } from '@keyturn/sql'

/** As much of a secret as its versions need. */
export interface Place {
  /** What envelopes are bound to. */
  readonly id: SecretId
  readonly path: string
  /** Grows whenever the current version changes: the etag. */
  readonly revision: number
}

export interface SecretRow extends Place {
  /** The key inside this database. */
  readonly number: number
  readonly deletedAt: number | null
  /** The idempotency key of the last deletion. */
  readonly deletion: string | null
}

/** What can be told about a version without its value. */
export interface VersionFacts {
  readonly number: number
  readonly label: 'current' | 'pending' | 'previous' | null
  readonly disabled: 0 | 1
  readonly createdAt: number
  /** Null once the version is destroyed. */
  readonly kekId: string | null
}

export interface VersionRow extends VersionFacts {
  readonly kind: 'text' | 'bytes' | 'fields'
}

/** A version with what is sealed of it; null once it is destroyed. */
export interface SealedRow extends VersionRow {
  readonly payload: Uint8Array | null
  readonly wrap: Uint8Array | null
}

/** A secret with what is current of it. */
export interface CurrentRow {
  readonly secret: Place
  readonly version: SealedRow
}

/** A version that a write must know of: the newest, those that have a label to give, or the one of its own intent. */
export interface KnownRow extends VersionRow {
  readonly intent: string
  readonly fingerprint: Uint8Array
}

/** A database, or a transaction of it. */
export interface Reader {
  rows(sql: string, parameters?: readonly SqlValue[]): Promise<readonly Row[]>
}

const facts = 'v.number, v.label, v.disabled, v.created_at, v.kek_id, v.kind'
const ofSecret = 's.number as secret, s.id, s.path, s.revision, s.deleted_at, s.deletion'

/** Every statement that looks. Names carry their schema: a single statement has no search path of its own. */
export class Rows {
  readonly #statements: ReturnType<typeof statements>

  constructor(dialect: Dialect) {
    this.#statements = statements(dialect)
  }

  async storeId(on: Reader): Promise<string | undefined> {
    const [row] = await on.rows(this.#statements.storeId)
    return row === undefined ? undefined : text(row, 'id')
  }

  async secret(on: Reader, path: string): Promise<SecretRow | undefined> {
    return secretIn((await on.rows(this.#statements.secret, [path]))[0])
  }

  /** Nobody else writes to the secret before the transaction ends. What is looked at after this is as the last writer left it. */
  async locked(tx: Transaction, path: string): Promise<SecretRow | undefined> {
    return secretIn((await tx.rows(this.#statements.locked, [path]))[0])
  }

  /** What is read most: one statement, and no column that the schema itself says. */
  async current(on: Reader, path: string): Promise<CurrentRow | undefined> {
    const [row] = await on.rows(this.#statements.current, [path])
    if (row === undefined) return undefined
    return {
      // made by `secretIdFrom`
      secret: { id: text(row, 'id') as SecretId, path, revision: integer(row, 'revision') },
      version: {
        number: integer(row, 'number'),
        label: 'current',
        disabled: 0,
        createdAt: integer(row, 'created_at'),
        kekId: text(row, 'kek_id'),
        // the schema checks the words
        kind: text(row, 'kind') as VersionRow['kind'],
        payload: blob(row, 'payload'),
        wrap: blob(row, 'wrap'),
      },
    }
  }

  async version(on: Reader, secret: SecretRow, number: number): Promise<SealedRow | undefined> {
    const [row] = await on.rows(this.#statements.version, [secret.number, number])
    return row === undefined ? undefined : sealedIn(row)
  }

  async known(on: Reader, secret: SecretRow, intent: string | null): Promise<readonly KnownRow[]> {
    return (await on.rows(this.#statements.known, [secret.number, intent])).map(row => ({
      ...versionIn(row),
      intent: text(row, 'intent'),
      fingerprint: blob(row, 'fingerprint') ?? new Uint8Array(),
    }))
  }

  /** Downwards from a number, which is left out. */
  async history(on: Reader, secret: SecretRow, before: number, limit: number): Promise<readonly VersionFacts[]> {
    return (await on.rows(this.#statements.history, [secret.number, before, limit])).map(versionIn)
  }

  async paths(on: Reader, prefix: string, after: string, limit: number): Promise<readonly string[]> {
    return (await on.rows(this.#statements.paths, [prefix, after, limit])).map(row => text(row, 'path'))
  }
}

const statements = ({ schema, locked }: Dialect) => ({
  storeId: `select id from ${schema}store`,
  secret: `select ${ofSecret} from ${schema}secrets s where s.path = $1`,
  locked: `select ${ofSecret} from ${schema}secrets s where s.path = $1 ${locked('s')}`,
  current: `select s.id, s.revision, v.number, v.created_at, v.kek_id, v.kind, v.payload, v.wrap from ${schema}secrets s
    join ${schema}versions v on v.secret = s.number and v.label = 'current' where s.path = $1 and s.deleted_at is null`,
  version: `select ${facts}, v.payload, v.wrap from ${schema}versions v where v.secret = $1 and v.number = $2`,
  known: `select ${facts}, v.intent, v.fingerprint from ${schema}versions v where v.secret = $1 and (v.intent = $2
    or v.label in ('current', 'previous') or v.number = (select max(n.number) from ${schema}versions n where n.secret = $1)) order by v.number`,
  history: `select ${facts} from ${schema}versions v where v.secret = $1 and v.number < $2 order by v.number desc limit $3`,
  paths: `select s.path from ${schema}secrets s where s.path >= $1 and s.path > $2 and s.deleted_at is null
    and exists (select 1 from ${schema}versions v where v.secret = s.number and v.label = 'current') order by s.path limit $3`,
})

function secretIn(row: Row | undefined): SecretRow | undefined {
  if (row === undefined) return undefined
  return {
    number: integer(row, 'secret'),
    // made by `secretIdFrom`
    id: text(row, 'id') as SecretId,
    path: text(row, 'path'),
    revision: integer(row, 'revision'),
    deletedAt: integerOrNull(row, 'deleted_at'),
    deletion: textOrNull(row, 'deletion'),
  }
}

function versionIn(row: Row): VersionRow {
  const version = {
    number: integer(row, 'number'),
    label: textOrNull(row, 'label'),
    disabled: integer(row, 'disabled'),
    createdAt: integer(row, 'created_at'),
    kekId: textOrNull(row, 'kek_id'),
    kind: text(row, 'kind'),
  }
  // the schema checks the words
  return version as VersionRow
}

const sealedIn = (row: Row): SealedRow => ({ ...versionIn(row), payload: blob(row, 'payload'), wrap: blob(row, 'wrap') })

/** Not copied: what reads it does not keep it. */
function blob(row: Row, column: string): Uint8Array | null {
  const value = row[column]
  return value instanceof Uint8Array ? value : null
}
