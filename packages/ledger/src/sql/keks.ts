import { bytes, integer, json, ms, type Row, retireKek, type Sql, type Transaction, text, time, timeOrNull } from '@keyturn/sql'
import type { Instance, KekRecord, Keks, MetKek } from '../ledger.ts'
import { metKeks, movedKek, mustClose, mustKnow, promotedKeks } from '../rules/kek.ts'
import { liveInstances } from './instances.ts'
import { lockLedger } from './ledger-lock.ts'

/** The lives of KEKs. Their material's fingerprint and the wraps made under them are of `keks`, as in every database with sealed rows. */
export class SqlKeks implements Keks {
  readonly #sql: Sql

  constructor(sql: Sql) {
    this.#sql = sql
  }

  all(): Promise<readonly KekRecord[]> {
    return this.#sql.transaction(known)
  }

  meet(keks: readonly MetKek[]): Promise<void> {
    return this.#sql.transaction(async tx => {
      await lockLedger(tx)
      for (const kek of metKeks(await known(tx), keks, new Date(tx.now))) {
        await tx.change(
          'insert into keks (id, fingerprint) values ($1, $2) on conflict (id) do update set fingerprint = excluded.fingerprint',
          [kek.id, kek.fingerprint],
        )
        await save(tx, kek)
      }
    })
  }

  reserve(id: string, count: number): Promise<number> {
    return this.#sql.transaction(async tx => {
      mustClose(mustKnow(await known(tx), id))
      const [row] = await tx.rows('update keks set wraps = wraps + $2 where id = $1 returning wraps', [id, count])
      return integer(row ?? {}, 'wraps')
    })
  }

  promote(
    to: string,
    options: { readonly from: string | null; readonly allows: (live: readonly Instance[]) => boolean },
  ): Promise<boolean> {
    return this.#sql.transaction(async tx => {
      await lockLedger(tx)
      const promoted = promotedKeks(await known(tx), to, options.from, new Date(tx.now))
      if (promoted === null || !options.allows(await liveInstances(tx))) return false
      for (const kek of promoted) await save(tx, kek)
      return true
    })
  }

  move(id: string, to: 'compromised' | 'retired' | 'destroyed'): Promise<void> {
    return this.#sql.transaction(async tx => {
      await lockLedger(tx)
      const moved = movedKek(mustKnow(await known(tx), id), to, new Date(tx.now))
      if (moved === null) return
      if (to === 'retired') await retireKek(tx, id)
      // what was under it is lost on purpose; at least nothing comes after
      if (to === 'destroyed') await tx.change('update keks set retired_at = $2 where id = $1 and retired_at is null', [id, tx.now])
      await save(tx, moved)
    })
  }
}

async function known(tx: Transaction): Promise<readonly KekRecord[]> {
  const rows = await tx.rows('select l.*, k.fingerprint from kek_lives l join keks k on k.id = l.id order by l.met_at, l.id')
  return rows.map(toKek)
}

async function save(tx: Transaction, kek: KekRecord): Promise<void> {
  const { provider = null, key = null, bytes: wrap = null } = kek.wrapped ?? {}
  const changes = JSON.stringify(kek.changes.map(({ state, at }) => [state, at.getTime()]))
  await tx.change(
    `insert into kek_lives (id, state, met_at, current_since, state_at, changes, wrap_provider, wrap_key, wrap_bytes)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
     on conflict (id) do update set state = excluded.state, current_since = excluded.current_since, state_at = excluded.state_at,
     changes = excluded.changes, wrap_provider = excluded.wrap_provider, wrap_key = excluded.wrap_key, wrap_bytes = excluded.wrap_bytes`,
    [kek.id, kek.state, ms(kek.metAt), ms(kek.currentSince), ms(kek.stateAt), changes, provider, key, wrap],
  )
}

function toKek(row: Row): KekRecord {
  // written by `save`
  const changes = json(row, 'changes') as readonly (readonly [KekRecord['state'], number])[]
  const kek = {
    id: text(row, 'id'),
    fingerprint: text(row, 'fingerprint'),
    state: text(row, 'state'),
    metAt: time(row, 'met_at'),
    currentSince: timeOrNull(row, 'current_since'),
    stateAt: time(row, 'state_at'),
    changes: changes.map(([state, at]) => ({ state, at: new Date(at) })),
    wrapped:
      row.wrap_bytes === null
        ? null
        : { provider: text(row, 'wrap_provider'), key: text(row, 'wrap_key'), bytes: bytes(row, 'wrap_bytes') },
  }
  // the state is one of those that the table allows
  return kek as KekRecord
}
