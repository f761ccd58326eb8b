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
