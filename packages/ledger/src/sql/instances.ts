import { json, type Row, type Sql, type Transaction, text, time } from '@keyturn/sql'
import type { Instance, Instances } from '../ledger.ts'
import { instanceKeptMs, instanceLivesMs } from '../rules/kek.ts'
import { lockLedger } from './ledger-lock.ts'

export class SqlInstances implements Instances {
  readonly #sql: Sql

  constructor(sql: Sql) {
    this.#sql = sql
  }

  beat({ id, loaded, wanted, using, version }: Omit<Instance, 'startedAt' | 'seenAt'>): Promise<void> {
    return this.#sql.transaction(async tx => {
      // who begins while a KEK becomes current is either counted by that, or sees it when it looks next
      await lockLedger(tx)
      await tx.change('delete from instances where seen_at <= $1', [tx.now - instanceKeptMs])
      await tx.change(
        `insert into instances (id, started_at, seen_at, loaded, wanted, in_use, version) values ($1, $2, $2, $3, $4, $5, $6)
         on conflict (id) do update set seen_at = excluded.seen_at, loaded = excluded.loaded, wanted = excluded.wanted,
         in_use = excluded.in_use, version = excluded.version where instances.signed_off_at is null`,
        [id, tx.now, JSON.stringify(loaded), wanted, using, version],
      )
    })
  }

  signOff(id: string): Promise<void> {
    return this.#sql.transaction(async tx => {
      await tx.change('update instances set signed_off_at = $2 where id = $1 and signed_off_at is null', [id, tx.now])
    })
  }

  live(): Promise<readonly Instance[]> {
    return this.#sql.transaction(liveInstances)
  }
}

/** The instances that are at work now, oldest first. */
export async function liveInstances(tx: Transaction): Promise<readonly Instance[]> {
  const rows = await tx.rows('select * from instances where seen_at > $1 and signed_off_at is null order by started_at, id', [
    tx.now - instanceLivesMs,
  ])
  return rows.map(toInstance)
}

function toInstance(row: Row): Instance {
  return {
    id: text(row, 'id'),
    startedAt: time(row, 'started_at'),
    seenAt: time(row, 'seen_at'),
    // written by `beat`
    loaded: json(row, 'loaded') as readonly string[],
    wanted: text(row, 'wanted'),
    using: text(row, 'in_use'),
    version: text(row, 'version'),
  }
}
