import type { KeyObject } from 'node:crypto'
import { randomBytes, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type SecretId, SecretValue } from '@keyturn/core'
import { EnvelopeSealer, Keyring, parseKek } from '@keyturn/envelope'
import type pg from 'pg'

const random = { bytes: (count: number) => randomBytes(count), uuid: () => randomUUID() }
const insertRows = 2_000

/** The KEKs of a folder of the provider `file`. */
export function keysIn(folder: string, ids: readonly string[]): ReadonlyMap<string, KeyObject> {
  return new Map(ids.map(id => [id, parseKek(id, readFileSync(join(folder, `${id}.key`), 'utf8').trim())]))
}

/** Opens and closes the values of a store as its brokers do. */
export async function sealerFor(database: pg.Pool, keks: ReadonlyMap<string, KeyObject>, current: string): Promise<EnvelopeSealer> {
  const { rows } = await database.query<{ id: string }>('select id from keyturn_store.store')
  return new EnvelopeSealer({ keyring: new Keyring({ keks, current }), random, store: rows[0]?.id ?? '', meter: null })
}

/** Puts secrets with one version each into a store, many at a time: what writing them one by one leaves there. */
export async function seed(
  database: pg.Pool,
  sealer: EnvelopeSealer,
  secrets: readonly { readonly path: string; readonly value: string }[],
): Promise<void> {
  for (let at = 0; at < secrets.length; at += insertRows) {
    const page = secrets.slice(at, at + insertRows).map(({ path, value }) => {
      const id = `sec_${randomBytes(13).toString('hex').toUpperCase()}` as SecretId
      return { path, id, sealed: sealer.seal({ secretId: id, number: 1, kind: 'text' }, SecretValue.text(value)) }
    })
    await database.query(
      `with made as (
         insert into keyturn_store.secrets (id, path, revision) select id, path, 1 from unnest($1::text[], $2::text[]) u(id, path) returning number, id
       )
       insert into keyturn_store.versions (secret, number, kind, label, created_at, intent, fingerprint, kek_id, payload, wrap)
       select made.number, 1, 'text', 'current', 0, made.id, '\\x00', u.kek, u.payload, u.wrap
       from unnest($1::text[], $3::text[], $4::bytea[], $5::bytea[]) u(id, kek, payload, wrap) join made on made.id = u.id`,
      [
        page.map(({ id }) => id),
        page.map(({ path }) => path),
        page.map(({ sealed }) => sealed.kekId),
        page.map(({ sealed }) => sealed.payload),
        page.map(({ sealed }) => sealed.wrap),
      ],
    )
  }
}

/** Notes every change of a wrap, by whatever process, in the transaction that makes it. */
export async function watchWraps(database: pg.Pool): Promise<void> {
  await database.query(`
    create table public.wraps (secret bigint not null, number bigint not null, before text not null, after text not null, same_payload boolean not null);
    create function public.note_wrap() returns trigger language plpgsql as $$
      begin
        insert into public.wraps values (new.secret, new.number, old.kek_id, new.kek_id, new.payload = old.payload);
        return null;
      end $$;
    create trigger note_wrap after update of wrap on keyturn_store.versions for each row
      when (old.wrap is not null and new.wrap is not null) execute function public.note_wrap()`)
}

/** Opens every version of a store, page by page, and shows it. */
export async function openAll(
  database: pg.Pool,
  sealer: EnvelopeSealer,
  show: (row: {
    readonly path: string
    readonly number: number
    readonly isCurrent: boolean
    readonly kek: string
    readonly value: string
  }) => void,
): Promise<void> {
  for (let after = 0; ; ) {
    const { rows } = await database.query(
      `select s.number as secret, s.id, s.path, v.number, v.label, v.kek_id, v.payload, v.wrap
       from keyturn_store.secrets s join keyturn_store.versions v on v.secret = s.number
       where s.number in (select number from keyturn_store.secrets where number > $1 order by number limit 1000) order by s.number, v.number`,
      [after],
    )
    for (const row of rows) {
      const number = Number(row.number)
      after = Number(row.secret)
      if (row.payload === null) continue
      const value = sealer.open({ secretId: row.id, number, kind: 'text' }, { kekId: row.kek_id, payload: row.payload, wrap: row.wrap })
      const content = value.reveal()
      const text = 'field' in content && 'bytes' in content.field ? Buffer.from(content.field.bytes).toString() : ''
      show({ path: row.path, number, isCurrent: row.label === 'current', kek: row.kek_id, value: text })
    }
    if (rows.length === 0) return
  }
}
