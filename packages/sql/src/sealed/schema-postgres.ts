import type { Dialect } from '../sql.ts'
import type { SealedTable } from './table.ts'

/** What a refusal of these triggers is told by: https://www.postgresql.org/docs/current/plpgsql-errors-and-messages.html. */
export const kekRefused = 'KT001'

// a connection counts in one of as many rows, so that writers seldom wait for each other
const shards = 64

/** Held shared by whoever closes a value under a KEK, until the end of the transaction; alone by whoever retires it. No row is touched by it. */
export const kekLock = (kekId: string, schema: string): string => `hashtextextended('${schema}' || ${kekId}, 7390116203)`

/** What is known of a KEK stays. */
export function keepKeksInPostgres({ schema }: Dialect): readonly string[] {
  return [
    `create function ${schema}keks_keep() returns trigger language plpgsql as $$ begin
      if tg_op = 'DELETE' then raise exception 'a KEK is never forgotten' using errcode = '23514'; end if;
      if new.id <> old.id or new.wraps < old.wraps
        or (old.fingerprint is not null and new.fingerprint is distinct from old.fingerprint)
        or (old.retired_at is not null and new.retired_at is distinct from old.retired_at)
      then raise exception 'a KEK keeps its fingerprint and its retirement, and its count only grows' using errcode = '23514'; end if;
      return new;
    end $$`,
    `create trigger keks_keep before update or delete on ${schema}keks for each row execute function ${schema}keks_keep()`,
  ]
}

/**
 * Triggers that admit rows under their KEKs and count them, once a statement. KEKs and counts are touched in the order of their keys. The function names
 * its tables with their schema, so that whoever changes a row by hand counts too.
 */
export function countInPostgres({ schema }: Dialect, table: SealedTable): readonly string[] {
  const { name, columns, part } = table
  const rows = (from: 'new_rows' | 'old_rows', sign: '' | '-') =>
    `select r.${columns.kekId} as kek_id, ${part('r.')} as part, ${sign}count(*) as n from ${from} r where r.${columns.kekId} is not null group by 1, 2`
  const count = (source: string) =>
    `insert into ${schema}kek_rows as k (kek_id, part, shard, rows)
       select c.kek_id, c.part, pg_backend_pid() % ${shards}, sum(c.n) from (${source}) c group by 1, 2 having sum(c.n) <> 0 order by 1, 2
       on conflict (kek_id, part, shard) do update set rows = k.rows + excluded.rows;`
  const trigger = (event: string, body: string, transition: string) => [
    `create function ${schema}${name}_count_${event}() returns trigger language plpgsql as $$ declare kek text; begin ${body} return null; end $$`,
    `create trigger ${name}_count_${event} after ${event} on ${schema}${name} referencing ${transition}
     for each statement execute function ${schema}${name}_count_${event}()`,
  ]
  const named = (from: 'new_rows' | 'old_rows') => `select r.${columns.kekId} from ${from} r where r.${columns.kekId} is not null`
  const admit = (source: string) => admission(schema, table, source)
  return [
    ...trigger('insert', admit(named('new_rows')) + count(rows('new_rows', '')), 'new table as new_rows'),
    ...trigger(
      'update',
      // rows that stay under their KEK need no leave: while there are any it is not retired
      admit(`${named('new_rows')} except ${named('old_rows')}`) + count(`${rows('old_rows', '-')} union all ${rows('new_rows', '')}`),
      'old table as old_rows new table as new_rows',
    ),
    ...trigger('delete', count(rows('old_rows', '-')), 'old table as old_rows'),
  ]
}

function admission(schema: string, { unknownKeks }: SealedTable, source: string): string {
  const note = `insert into ${schema}keks (id) select kek where not exists (select 1 from ${schema}keks where id = kek) on conflict (id) do nothing;`
  return `for kek in select distinct * from (${source}) s order by 1 loop
      perform pg_advisory_xact_lock_shared(${kekLock('kek', schema)});
      ${unknownKeks === 'noted' ? note : ''}
      if not exists (select 1 from ${schema}keks where id = kek and retired_at is null) then
        raise exception 'no new envelope under a KEK that is unknown or retired' using errcode = '${kekRefused}';
      end if;
    end loop;
    `
}
