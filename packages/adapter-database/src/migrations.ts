import type { DatabaseSync } from 'node:sqlite'
import { BrokerError, type Random } from '@keyturn/core'

/** Marks the file as a store of Keyturn: `KTSD`. */
const applicationId = 0x4b545344

/** What a migration may need beside the database. */
type Migration = (database: DatabaseSync, random: Random) => void

/** Forward only; the index of a migration plus one is the schema version it leads to. One that was released is never changed. */
export const migrations: readonly Migration[] = [
  (database, random) => {
    database.exec(first)
    database.prepare('insert into store (one, id) values (1, ?)').run(`db_${Buffer.from(random.bytes(16)).toString('hex')}`)
  },
]

const first = `
  create table store (one integer primary key check (one = 1), id text not null) strict;

  create table keks (
    id text primary key,
    fingerprint text not null,
    wraps integer not null check (wraps >= 0)
  ) strict, without rowid;

  create table secrets (
    number integer primary key,
    id text not null unique,
    path text not null unique,
    revision integer not null,
    deleted_at integer,
    deletion text
  ) strict;

  create table versions (
    secret integer not null references secrets (number),
    number integer not null,
    kind text not null check (kind in ('text', 'bytes', 'fields')),
    label text check (label in ('current', 'pending', 'previous')),
    disabled integer not null default 0 check (disabled in (0, 1)),
    created_at integer not null,
    intent text not null,
    fingerprint blob not null,
    kek text references keks (id),
    payload blob,
    wrap blob,
    unique (secret, number),
    unique (secret, intent),
    check ((payload is null) = (wrap is null) and (payload is null) = (kek is null)),
    check (label is not 'current' or (payload is not null and disabled = 0))
  ) strict;

  create unique index one_current on versions (secret) where label = 'current';
  create unique index one_previous on versions (secret) where label = 'previous';
  create index versions_by_kek on versions (kek) where kek is not null;

  create trigger versions_have_no_gaps before insert on versions
  when new.number <> (select coalesce(max(number), 0) + 1 from versions where secret = new.secret)
  begin select raise(abort, 'versions are numbered without gaps'); end;

  create trigger versions_do_not_change before update of secret, number, kind, created_at, intent, fingerprint on versions
  begin select raise(abort, 'a version is immutable'); end;

  create trigger payloads_only_go before update of payload on versions
  when new.payload is not null and new.payload is not old.payload
  begin select raise(abort, 'a version is immutable'); end;

  create trigger versions_stay before delete on versions
  begin select raise(abort, 'a version is never removed'); end;

  create trigger secrets_stay before delete on secrets
  begin select raise(abort, 'a secret is never removed'); end;

  create trigger secrets_keep_their_place before update of number, id, path on secrets
  begin select raise(abort, 'a secret keeps its id and path'); end;

  create trigger keks_count_up before update on keks
  when new.id is not old.id or new.fingerprint is not old.fingerprint or new.wraps < old.wraps
  begin select raise(abort, 'a KEK keeps its fingerprint and its count only grows'); end;

  create trigger store_keeps_its_id before update on store
  begin select raise(abort, 'the store keeps its id'); end;

  create trigger store_stays before delete on store
  begin select raise(abort, 'the store keeps its id'); end;
`

/** `precondition_failed` for a file of somebody else, or of a newer Keyturn. Only reads. */
export function mustBeOurs(database: DatabaseSync, file: string): void {
  const owner = pragma(database, 'application_id')
  const tables = database.prepare('select count(*) as tables from sqlite_schema').get()?.tables
  if (owner !== applicationId && (owner !== 0 || tables !== 0)) {
    throw new BrokerError('precondition_failed', `${file} is a database, but not a store of Keyturn`, {
      hint: 'name another file, or move this one away',
    })
  }
  const version = pragma(database, 'user_version')
  if (version > migrations.length) {
    throw new BrokerError('precondition_failed', `${file} has schema ${version}; this build knows schemas up to ${migrations.length}`, {
      hint: 'start the newer Keyturn that wrote it; a schema never goes back',
    })
  }
}

/** Brings an empty or older database to this schema; call it inside a transaction, so that it is all or nothing. */
export function migrate(database: DatabaseSync, random: Random): void {
  const version = pragma(database, 'user_version')
  database.exec(`pragma application_id = ${applicationId}`)
  for (const [index, migration] of migrations.entries()) {
    if (index < version) continue
    migration(database, random)
    database.exec(`pragma user_version = ${index + 1}`)
  }
}

/** A pragma that is one whole number. */
export function pragma(database: DatabaseSync, name: 'user_version' | 'application_id' | 'synchronous'): number {
  return Number(database.prepare(`pragma ${name}`).get()?.[name])
}
