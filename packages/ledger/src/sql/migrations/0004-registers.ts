import type { Migration } from '@keyturn/sql'

/** The lives of KEKs, who is at work, passes through everything, and the bundles that are kept. */
export const registers: Migration = {
  number: 4,
  name: 'registers',
  statements: ({ bytes, integer, identity, table }) => [
    `create table kek_lives (
      id text primary key references keks (id),
      state text not null check (state in ('pre-active', 'active', 'deactivated', 'compromised', 'retired', 'destroyed')),
      met_at ${integer} not null,
      current_since ${integer},
      state_at ${integer} not null,
      changes text not null,
      wrap_provider text,
      wrap_key text,
      wrap_bytes ${bytes},
      check ((wrap_provider is null) = (wrap_bytes is null) and (wrap_key is null) = (wrap_bytes is null)),
      check (state <> 'destroyed' or wrap_bytes is null),
      check (state <> 'active' or current_since is not null)
    ) ${table}`,
    "create unique index kek_lives_one_active on kek_lives (state) where state = 'active'",

    `create table instances (
      id text primary key,
      started_at ${integer} not null,
      seen_at ${integer} not null,
      signed_off_at ${integer},
      loaded text not null,
      wanted text not null,
      in_use text not null,
      version text not null
    ) ${table}`,
    'create index instances_by_age on instances (seen_at)',

    `create table campaigns (
      seq ${identity},
      id text not null unique references operations (id),
      kind text not null check (kind in ('rewrap', 'reencrypt', 'scrub')),
      kek_id text,
      state text not null check (state in ('waiting', 'running', 'done', 'failed', 'aborted')),
      finished_at ${integer},
      note text,
      check ((kind = 'scrub') = (kek_id is null)),
      check ((finished_at is null) = (state in ('waiting', 'running')))
    ) ${table}`,
    'create unique index campaigns_one_open on campaigns (kind) where finished_at is null',
    'create index campaigns_by_kind on campaigns (kind, seq)',

    `create table backups (
      seq ${identity},
      id text not null unique,
      created_at ${integer} not null,
      file text not null,
      host text not null,
      reason text not null,
      bytes ${integer} not null,
      sha256 text not null,
      versions ${integer} not null,
      keks text not null,
      keep_until ${integer}
    ) ${table}`,
  ],
}
