import type { SealedTable } from './table.ts'

/** What is known of a KEK stays. */
export const keepKeksInSqlite: readonly string[] = [
  `create trigger keks_keep_what_they_say before update on keks
   when new.id is not old.id or new.wraps < old.wraps
     or (old.fingerprint is not null and new.fingerprint is not old.fingerprint)
     or (old.retired_at is not null and new.retired_at is not old.retired_at)
   begin select raise(abort, 'a KEK keeps its fingerprint and its retirement, and its count only grows'); end`,
  `create trigger keks_stay before delete on keks begin select raise(abort, 'a KEK is never forgotten'); end`,
]

/** Triggers that admit a row under its KEK and count it. */
export function countInSqlite({ name, columns: { kekId }, part, unknownKeks }: SealedTable): readonly string[] {
  const add = (row: 'new' | 'old', by: 1 | -1) =>
    `insert into kek_rows (kek_id, part, shard, rows) select ${row}.${kekId}, ${part(`${row}.`)}, 0, ${by} where ${row}.${kekId} is not null
       on conflict (kek_id, part, shard) do update set rows = rows + excluded.rows;`
  const note = `insert into keks (id) select new.${kekId} where new.${kekId} is not null and not exists (select 1 from keks where id = new.${kekId});`
  const admit = `${unknownKeks === 'noted' ? note : ''}
     select raise(abort, 'no new envelope under a KEK that is unknown or retired')
     where new.${kekId} is not null and not exists (select 1 from keks where id = new.${kekId} and retired_at is null);`
  const moved = `new.${kekId} is not old.${kekId} or ${part('new.')} is not ${part('old.')}`
  return [
    `create trigger ${name}_count_new after insert on ${name} begin ${admit} ${add('new', 1)} end`,
    `create trigger ${name}_count_moved after update on ${name} when ${moved} begin ${admit} ${add('old', -1)} ${add('new', 1)} end`,
    `create trigger ${name}_count_gone after delete on ${name} begin ${add('old', -1)} end`,
  ]
}
