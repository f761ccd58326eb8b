import { BrokerError, type Sealed } from '@keyturn/core'
import { type Sql, sealedColumns, sealedOrNull } from '@keyturn/sql'
import type { SealedRecords } from '../ledger.ts'

export class SqlSealedRecords implements SealedRecords {
  readonly #sql: Sql

  constructor(sql: Sql) {
    this.#sql = sql
  }

  get(name: string): Promise<Sealed | null> {
    return this.#sql.transaction(async tx => {
      const [row] = await tx.rows('select kek_id, payload, wrap from sealed_records where name = $1', [name])
      return row === undefined ? null : sealedOrNull(row)
    })
  }

  put(name: string, sealed: Sealed, before: Sealed | null): Promise<void> {
    const values = [name, ...sealedColumns(sealed)]
    return this.#sql.transaction(async tx => {
      const changed =
        before === null
          ? await tx.change(
              'insert into sealed_records (name, kek_id, payload, wrap) values ($1, $2, $3, $4) on conflict (name) do nothing',
              values,
            )
          : await tx.change(
              `update sealed_records set kek_id = $2, payload = $3, wrap = $4
               where name = $1 and kek_id = $5 and payload = $6 and wrap = $7`,
              [...values, ...sealedColumns(before)],
            )
      if (changed === 0) throw new BrokerError('conflict', `the sealed record ${name} is not what was read any more`)
    })
  }
}
