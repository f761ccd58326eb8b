import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import type { SecretId } from '@keyturn/core'

export interface SecretRow {
  /** The key inside this database. */
  readonly number: number
  /** What envelopes are bound to. */
  readonly id: SecretId
  readonly path: string
  /** Grows whenever the current version changes: the etag. */
  readonly revision: number
  readonly deleted_at: number | null
  /** The idempotency key of the last deletion. */
  readonly deletion: string | null
}

/** What can be told about a version without its value. */
export interface VersionFacts {
  readonly number: number
  readonly label: 'current' | 'pending' | 'previous' | null
  readonly disabled: 0 | 1
  readonly created_at: number
  /** Null once the version is destroyed. */
  readonly kek: string | null
}

export interface VersionRow extends VersionFacts {
  readonly kind: 'text' | 'bytes' | 'fields'
  readonly payload: Uint8Array | null
  readonly wrap: Uint8Array | null
}

/** A version found by the intent that made it. */
export interface IntentRow extends VersionFacts {
  readonly fingerprint: Uint8Array
}

export type CurrentRow = VersionRow & Pick<SecretRow, 'id' | 'revision'>

const facts = 'v.number, v.label, v.disabled, v.created_at, v.kek'
const sealed = `${facts}, v.kind, v.payload, v.wrap`

/** Every statement of the store, prepared once. Row types follow the strict schema in `migrations.ts`. */
export function openRows(database: DatabaseSync) {
  const one = <Row>(sql: string) => {
    const statement = database.prepare(sql)
    // strict tables hold the types that the schema names
    return (...values: SQLInputValue[]) => statement.get(...values) as Row | undefined
  }
  const all = <Row>(sql: string) => {
    const statement = database.prepare(sql)
    return (...values: SQLInputValue[]) => statement.all(...values) as unknown as readonly Row[]
  }
  const run = (sql: string) => {
    const statement = database.prepare(sql)
    return (...values: SQLInputValue[]) => statement.run(...values)
  }
  return {
    storeId: one<{ id: string }>('select id from store'),
    secret: one<SecretRow>('select number, id, path, revision, deleted_at, deletion from secrets where path = ?'),
    current: one<CurrentRow>(
      `select s.id, s.revision, ${sealed} from secrets s join versions v on v.secret = s.number and v.label = 'current'
       where s.path = ? and s.deleted_at is null`,
    ),
    version: one<VersionRow>(`select ${sealed} from versions v where v.secret = ? and v.number = ?`),
    newest: one<Pick<VersionRow, 'number' | 'kind'>>('select number, kind from versions where secret = ? order by number desc limit 1'),
    labelled: one<Pick<VersionRow, 'number' | 'kind'>>('select number, kind from versions where secret = ? and label = ?'),
    byIntent: one<IntentRow>(`select ${facts}, v.fingerprint from versions v where v.secret = ? and v.intent = ?`),
    history: all<VersionFacts>(`select ${facts} from versions v where v.secret = ? and v.number < ? order by v.number desc limit ?`),
    paths: all<{ path: string }>(
      `select path from secrets s where path >= ? and path > ? and deleted_at is null
       and exists (select 1 from versions v where v.secret = s.number and v.label = 'current') order by path limit ?`,
    ),
    keksInUse: all<{ id: string; fingerprint: string; wraps: number; versions: number }>(
      'select id, fingerprint, wraps, (select count(*) from versions where kek = keks.id) as versions from keks order by id',
    ),

    addSecret: run('insert into secrets (id, path, revision) values (?, ?, 0)'),
    addVersion: run(
      `insert into versions (secret, number, kind, label, created_at, intent, fingerprint, kek, payload, wrap)
       values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    relabel: run('update versions set label = ? where secret = ? and label = ?'),
    label: run('update versions set label = ? where secret = ? and number = ?'),
    withhold: run('update versions set disabled = ? where secret = ? and number = ?'),
    destroy: run('update versions set kek = null, payload = null, wrap = null where secret = ? and number = ?'),
    touch: run('update secrets set revision = revision + 1, deleted_at = null where number = ?'),
    remove: run('update secrets set revision = revision + 1, deleted_at = ?, deletion = ? where number = ?'),
    addWraps: one<{ fingerprint: string; wraps: number }>(
      `insert into keks (id, fingerprint, wraps) values (?, ?, ?)
       on conflict (id) do update set wraps = wraps + excluded.wraps returning fingerprint, wraps`,
    ),
  }
}

export type Rows = ReturnType<typeof openRows>
