import { BrokerError, type OperationId, type Random, type RotationId, type SecretId } from '@keyturn/core'
import { json, type Row, type Sql, text, time } from '@keyturn/sql'
import { newOperationId } from '../identifier.ts'
import type { Operation, OperationItem, OperationKind, Operations } from '../ledger.ts'
import { findRotation, lockSecret } from './journal-rows.ts'
import { toRotation } from './rotation-row.ts'

export class SqlOperations implements Operations {
  readonly #sql: Sql
  readonly #random: Random

  constructor(sql: Sql, random: Random) {
    this.#sql = sql
    this.#random = random
  }

  create(operation: { readonly kind: OperationKind; readonly principal: string; readonly reason: string }): Promise<OperationId> {
    return this.#sql.transaction(async tx => {
      const id = newOperationId(this.#random)
      const { kind, principal, reason } = operation
      await tx.change('insert into operations (id, kind, principal, reason, started_at) values ($1, $2, $3, $4, $5)', [
        id,
        kind,
        principal,
        reason,
        tx.now,
      ])
      return id
    })
  }

  add(
    id: OperationId,
    item: { readonly secretId: SecretId; readonly rotation: RotationId | null; readonly error: OperationItem['error'] },
  ): Promise<void> {
    const error = item.error === null ? null : JSON.stringify(item.error)
    return this.#sql.transaction(async tx => {
      const [operation] = await tx.rows('select id from operations where id = $1', [id])
      if (operation === undefined) throw new BrokerError('not_found', `no operation ${id} in the ledger`)
      await lockSecret(tx, item.secretId)
      if (item.rotation !== null) await findRotation(tx, item.rotation)
      await tx.change(
        `insert into operation_items (op, secret_id, rotation, error) values ($1, $2, $3, $4)
         on conflict (op, secret_id) do update set rotation = excluded.rotation, error = excluded.error`,
        [id, item.secretId, item.rotation, error],
      )
    })
  }

  byId(id: OperationId): Promise<Operation | null> {
    return this.#sql.transaction(async tx => {
      const [row] = await tx.rows('select * from operations where id = $1', [id])
      if (row === undefined) return null
      const items = await tx.rows(
        `select r.*, i.secret_id as item_secret, i.error as item_error, s.name as secret from operation_items i
         join secrets s on s.id = i.secret_id left join rotations r on r.id = i.rotation where i.op = $1 order by i.seq`,
        [id],
      )
      const operation = {
        id,
        kind: text(row, 'kind'),
        principal: text(row, 'principal'),
        reason: text(row, 'reason'),
        startedAt: time(row, 'started_at'),
        items: items.map(toItem),
      }
      // the kind was written from an OperationKind
      return operation as Operation
    })
  }
}

function toItem(row: Row): OperationItem {
  const item = {
    secretId: text(row, 'item_secret'),
    name: text(row, 'secret'),
    rotation: row.id === null ? null : toRotation(row),
    error: row.item_error === null ? null : json(row, 'item_error'),
  }
  // written from an item of these types
  return item as OperationItem
}
