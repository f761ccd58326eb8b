import { type Migration, sealedSchema } from '@keyturn/sql'
import { sealedVersions } from '../sealed-versions.ts'

/** KEKs, counts of what they close, and passes; a payload may be replaced while one that re-encrypts is open, and only removed otherwise. */
export const sealed: Migration = {
  number: 2,
  name: 'sealed',
  statements: dialect => [
    ...sealedSchema(dialect, [sealedVersions]),
    dialect.database === 'sqlite' ? keptBySqlite : keptByPostgres(dialect.schema),
  ],
}

const isOpen = (passes: string) => `exists (select 1 from ${passes} where kind = 'reencrypt' and over_at is null)`
const why = 'a version is immutable'

const keptBySqlite = `create trigger payloads_only_go before update of payload on versions
  when new.payload is not null and new.payload is not old.payload and not ${isOpen('passes')}
  begin select raise(abort, '${why}'); end`

const keptByPostgres = (schema: string) => `do $migration$ begin
  create function ${schema}refuse_payload() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
    begin
      if not ${isOpen(`${schema}passes`)} then raise exception '${why}' using errcode = 'check_violation'; end if;
      return new;
    end $$;
  create trigger payloads_only_go before update of payload on ${schema}versions for each row
    when (new.payload is not null and new.payload is distinct from old.payload) execute function ${schema}refuse_payload();
end $migration$`
