import type { Dialect } from '../sql.ts'
import { countInPostgres, keepKeksInPostgres } from './schema-postgres.ts'
import { countInSqlite, keepKeksInSqlite } from './schema-sqlite.ts'
import type { SealedTable } from './table.ts'

/**
 * What a database of sealed rows keeps about them, as statements of a migration that comes after the tables themselves: `keks`, `kek_rows` (how many
 * envelopes need each KEK, kept by triggers in the transaction of every change), `passes`, `pass_slices`, `pass_failures`. Rows that are there already
 * are counted, and their KEKs noted. A role that only works with the database needs `select, insert, update` on all five, and `delete` on the last three.
 */
export function sealedSchema(dialect: Dialect, tables: readonly SealedTable[]): readonly string[] {
  const sqlite = dialect.database === 'sqlite'
  return [
    ...keks(dialect),
    ...(sqlite ? keepKeksInSqlite : keepKeksInPostgres(dialect)),
    ...passes(dialect),
    ...tables.flatMap(table => [
      ...whatIsThere(table),
      ...(sqlite ? countInSqlite(table) : countInPostgres(dialect, table)),
      ...byAge(table),
    ]),
  ]
}

function keks({ integer, table }: Dialect): readonly string[] {
  return [
    // a store that is older than this schema has the table
    `create table if not exists keks (
      id text primary key,
      fingerprint text,
      wraps ${integer} not null default 0 check (wraps >= 0),
      retired_at ${integer}
    ) ${table}`,
    // one row would make all writers wait for each other: the count is the sum of its shards
    `create table kek_rows (
      kek_id text not null,
      part text not null,
      shard ${integer} not null,
      rows ${integer} not null,
      primary key (kek_id, part, shard)
    ) ${table}`,
  ]
}

function passes({ integer, table }: Dialect): readonly string[] {
  return [
    `create table passes (
      id text primary key,
      kind text not null check (kind in ('rewrap', 'reencrypt', 'scrub')),
      kek_id text,
      begun_at ${integer} not null,
      total ${integer} not null,
      gone ${integer} not null default 0,
      over_at ${integer},
      check ((kek_id is null) = (kind = 'scrub'))
    ) ${table}`,
    `create table pass_slices (
      pass text not null references passes (id) on delete cascade,
      slice ${integer} not null,
      sealed_table text not null,
      low ${integer},
      high ${integer},
      place text,
      done ${integer} not null default 0,
      skipped ${integer} not null default 0,
      failed ${integer} not null default 0,
      is_over ${integer} not null default 0 check (is_over in (0, 1)),
      primary key (pass, slice)
    ) ${table}`,
    `create table pass_failures (
      pass text not null references passes (id) on delete cascade,
      slice ${integer} not null,
      ordinal ${integer} not null,
      secret_id text not null,
      number ${integer} not null,
      kind text not null,
      kek_id text not null,
      code text not null,
      message text not null,
      primary key (pass, slice, ordinal)
    ) ${table}`,
  ]
}

function whatIsThere({ name, columns: { kekId }, part, unknownKeks }: SealedTable): readonly string[] {
  const note = `insert into keks (id) select distinct t.${kekId} from ${name} t where t.${kekId} is not null on conflict (id) do nothing`
  return [
    ...(unknownKeks === 'noted' ? [note] : []),
    `insert into kek_rows (kek_id, part, shard, rows)
     select t.${kekId}, ${part('t.')}, 0, count(*) from ${name} t where t.${kekId} is not null group by 1, 2
     on conflict (kek_id, part, shard) do update set rows = kek_rows.rows + excluded.rows`,
  ]
}

/** Finds the oldest row under a KEK by one seek. */
function byAge({ name, columns: { kekId }, madeAt }: SealedTable): readonly string[] {
  return madeAt === null ? [] : [`create index ${name}_by_kek_and_age on ${name} (${kekId}, ${madeAt}) where ${kekId} is not null`]
}
