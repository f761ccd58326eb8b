import type { Migration } from '@keyturn/sql'

export const base: Migration = {
  number: 1,
  name: 'base',
  statements: ({ bytes, integer, identity, binary, table }) => [
    `create table ledger (
      one ${integer} primary key check (one = 1),
      id text not null,
      incarnation ${integer} not null default 0,
      token_revision ${integer} not null default 0,
      checks ${integer} not null default 0
    ) ${table}`,

    `create table secrets (
      id text primary key,
      name text ${binary} not null unique,
      type text,
      labels text not null,
      next_rotation_at ${integer},
      next_number ${integer} not null default 1
    ) ${table}`,
    'create index secrets_due on secrets (next_rotation_at) where next_rotation_at is not null',

    `create table rotations (
      seq ${identity},
      id text not null unique,
      op text,
      secret_id text not null references secrets (id),
      strategy text not null,
      trigger_kind text not null,
      mode text not null check (mode in ('normal', 'compromise')),
      reason text not null,
      grace_override_ms ${integer},
      state text not null,
      hold text,
      epoch ${integer} not null,
      attempts ${integer} not null,
      quarantined ${integer} not null,
      wake_at ${integer},
      error text,
      wish text,
      approved ${integer} not null check (approved in (0, 1)),
      number ${integer},
      base text,
      version text,
      idempotency_key text not null,
      grace_until ${integer},
      outcome text not null,
      started_at ${integer} not null,
      state_at ${integer} not null,
      finished_at ${integer},
      lease_holder text,
      lease_until ${integer},
      check ((finished_at is not null) = (state in ('done', 'aborted', 'rolled-back'))),
      check ((lease_holder is null) = (lease_until is null)),
      check (finished_at is null or (wake_at is null and lease_holder is null))
    ) ${table}`,
    'create unique index rotations_one_open on rotations (secret_id) where finished_at is null',
    'create index rotations_due on rotations (wake_at) where finished_at is null and wake_at is not null',
    'create index rotations_by_secret on rotations (secret_id, seq)',

    `create table versions (
      secret_id text not null references secrets (id),
      number ${integer} not null check (number > 0),
      version text,
      label text check (label in ('pending', 'current', 'previous')),
      status text check (status in ('pre-active', 'primary', 'active', 'decrypt-only', 'inactive')),
      fate text check (fate in ('revoked', 'quarantined')),
      kek_id text,
      payload ${bytes},
      wrap ${bytes},
      sealed_as text check (sealed_as in ('pending', 'previous')),
      rotation text,
      created_at ${integer} not null,
      superseded_at ${integer},
      grace_until ${integer},
      revoked_at ${integer},
      primary key (secret_id, number),
      check (fate is null or label is null),
      check ((kek_id is null) = (sealed_as is null) and (kek_id is null) = (payload is null) and (kek_id is null) = (wrap is null))
    ) ${table}`,
    "create unique index versions_one_current on versions (secret_id) where label = 'current'",
    "create unique index versions_one_pending on versions (secret_id) where label = 'pending'",
    "create unique index versions_one_primary on versions (secret_id) where status = 'primary'",

    `create table revocations (
      secret_id text not null,
      number ${integer} not null,
      rotation text not null references rotations (id),
      due_at ${integer} not null,
      state text not null check (state in ('pending', 'done', 'proven', 'unproven', 'cancelled')),
      primary key (secret_id, number),
      foreign key (secret_id, number) references versions (secret_id, number)
    ) ${table}`,
    'create index revocations_by_rotation on revocations (rotation)',

    `create table outbox (
      id ${identity},
      at ${integer} not null,
      secret text not null,
      rotation text not null,
      action text not null,
      outcome text not null,
      version text,
      code text
    ) ${table}`,
    'create index outbox_by_rotation on outbox (rotation)',

    `create table writes (
      secret_id text primary key references secrets (id),
      idempotency_key text not null,
      number ${integer} not null,
      superseded_version text,
      superseded_number ${integer},
      kek_id text not null,
      payload ${bytes} not null,
      wrap ${bytes} not null,
      begun_at ${integer} not null,
      incarnation ${integer} not null
    ) ${table}`,

    `create table operations (
      id text primary key,
      kind text not null,
      principal text not null,
      reason text not null,
      started_at ${integer} not null
    ) ${table}`,
    `create table operation_items (
      seq ${identity},
      op text not null references operations (id),
      secret_id text not null references secrets (id),
      rotation text references rotations (id),
      error text,
      unique (op, secret_id)
    ) ${table}`,

    `create table tokens (
      id text primary key,
      name text not null,
      role text not null,
      mac ${bytes} not null unique,
      created_at ${integer} not null,
      expires_at ${integer},
      revoked_at ${integer}
    ) ${table}`,

    `create table answers (
      principal text not null,
      route text not null,
      idempotency_key text not null,
      body_hash ${bytes} not null,
      status ${integer},
      body text,
      begun_at ${integer} not null,
      incarnation ${integer} not null,
      primary key (principal, route, idempotency_key),
      check ((status is null) = (body is null))
    ) ${table}`,
    'create index answers_by_age on answers (begun_at)',

    `create table sealed_records (
      name text primary key,
      kek_id text not null,
      payload ${bytes} not null,
      wrap ${bytes} not null
    ) ${table}`,
  ],
}
