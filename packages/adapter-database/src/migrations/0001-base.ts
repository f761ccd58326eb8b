import type { Dialect, Migration } from '@keyturn/sql'

/** Secrets, and versions that stay: the database itself keeps both as they were written. */
export const base: Migration = {
  number: 1,
  name: 'base',
  statements: dialect => [...tables(dialect), ...(dialect.database === 'sqlite' ? keptBySqlite : keptByPostgres(dialect))],
}

const tables = ({ bytes, integer, identity, binary, table }: Dialect): readonly string[] => [
  `create table store (one ${integer} primary key check (one = 1), id text not null) ${table}`,
  `create table secrets (
    number ${identity},
    id text not null unique,
    path text ${binary} not null unique,
    revision ${integer} not null,
    deleted_at ${integer},
    deletion text
  ) ${table}`,
  `create table versions (
    secret ${integer} not null references secrets (number),
    number ${integer} not null,
    kind text not null check (kind in ('text', 'bytes', 'fields')),
    label text check (label in ('current', 'pending', 'previous')),
    disabled ${integer} not null default 0 check (disabled in (0, 1)),
    created_at ${integer} not null,
    intent text not null,
    fingerprint ${bytes} not null,
    kek_id text,
    payload ${bytes},
    wrap ${bytes},
    primary key (secret, number),
    unique (secret, intent),
    check ((payload is null) = (wrap is null) and (payload is null) = (kek_id is null)),
    check (label is null or label <> 'current' or (payload is not null and disabled = 0))
  ) ${table}`,
  "create unique index one_current on versions (secret) where label = 'current'",
  "create unique index one_previous on versions (secret) where label = 'previous'",
]

/** What never changes, by table. */
const fixed = { versions: 'secret, number, kind, created_at, intent, fingerprint', secrets: 'number, id, path', store: 'one, id' }
const said = {
  gap: 'versions are numbered without gaps',
  versions: { change: 'a version is immutable', end: 'a version is never removed' },
  secrets: { change: 'a secret keeps its id and path', end: 'a secret is never removed' },
  store: { change: 'the store keeps its id', end: 'the store keeps its id' },
}
const kept = ['versions', 'secrets', 'store'] as const
const isGap = (versions: string) => `new.number <> (select coalesce(max(number), 0) + 1 from ${versions} where secret = new.secret)`

const abort = (why: string) => `begin select raise(abort, '${why}'); end`
const keptBySqlite: readonly string[] = [
  `create trigger versions_have_no_gaps before insert on versions when ${isGap('versions')} ${abort(said.gap)}`,
  ...kept.flatMap(table => [
    `create trigger ${table}_do_not_change before update of ${fixed[table]} on ${table} ${abort(said[table].change)}`,
    `create trigger ${table}_stay before delete on ${table} ${abort(said[table].end)}`,
  ]),
]

/** Functions of a fixed search path: whoever changes rows by hand, under whatever path, meets the same ones. */
const keptByPostgres = ({ schema }: Dialect): readonly string[] => [
  `create function ${schema}refuse() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
    begin raise exception '%', tg_argv[0] using errcode = 'check_violation'; end $$`,
  `create function ${schema}refuse_gap() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
    begin
      if ${isGap(`${schema}versions`)} then raise exception '${said.gap}' using errcode = 'check_violation'; end if;
      return new;
    end $$`,
  `create trigger versions_have_no_gaps before insert on ${schema}versions for each row execute function ${schema}refuse_gap()`,
  ...kept.flatMap(table => {
    const refuse = (why: string) => `execute function ${schema}refuse('${why}')`
    return [
      `create trigger ${table}_do_not_change before update of ${fixed[table]} on ${schema}${table} for each row ${refuse(said[table].change)}`,
      `create trigger ${table}_stay before delete on ${schema}${table} for each row ${refuse(said[table].end)}`,
      `create trigger ${table}_are_not_emptied before truncate on ${schema}${table} for each statement ${refuse(said[table].end)}`,
    ]
  }),
]
