import type { Random, SecretId, SecretName } from '@keyturn/core'
import { json, ms, type Row, type Sql, type SqlValue, type Transaction, text, textOrNull, timeOrNull } from '@keyturn/sql'
import { newSecretId } from '../identifier.ts'
import type { PendingWrite, SecretRow, Secrets, WriteIntent } from '../ledger.ts'
import { noSecret } from '../rules/refusal.ts'
import type { WriteOutcome } from '../rules/write.ts'
import { toRotation } from './rotation-row.ts'
import { beginWrite, endWrite, unfinishedWrites } from './write.ts'

type Facts = { readonly type?: string; readonly labels?: Readonly<Record<string, string>> }

// the newest rotation is the open one wherever there is one
const selected = `select s.id as secret_row, s.name as secret, s.type as secret_type, s.labels, s.next_rotation_at, r.*
  from secrets s left join rotations r on r.seq = (select max(l.seq) from rotations l where l.secret_id = s.id)`

export class SqlSecrets implements Secrets {
  readonly #sql: Sql
  readonly #random: Random
  readonly #incarnation: number

  constructor(sql: Sql, random: Random, incarnation: number) {
    this.#sql = sql
    this.#random = random
    this.#incarnation = incarnation
  }

  ensure(name: SecretName, facts: Facts = {}): Promise<SecretRow> {
    return this.#sql.transaction(async tx => {
      const known = await one(tx, 's.name = $1', name)
      if (known !== null) return known
      const { type = null, labels = {} } = facts
      // another broker may be as far: the first one's row stays
      await tx.change('insert into secrets (id, name, type, labels) values ($1, $2, $3, $4) on conflict (name) do nothing', [
        newSecretId(this.#random),
        name,
        type,
        JSON.stringify(labels),
      ])
      const made = await one(tx, 's.name = $1', name)
      if (made === null) throw noSecret(name as string as SecretId)
      return made
    })
  }

  byName(name: SecretName): Promise<SecretRow | null> {
    return this.#sql.transaction(tx => one(tx, 's.name = $1', name))
  }

  byId(id: SecretId): Promise<SecretRow | null> {
    return this.#sql.transaction(tx => one(tx, 's.id = $1', id))
  }

  describe(id: SecretId, { type, labels }: Facts): Promise<void> {
    const encoded = labels === undefined ? null : JSON.stringify(labels)
    return this.#change(id, 'update secrets set type = coalesce($2, type), labels = coalesce($3, labels) where id = $1', [
      type ?? null,
      encoded,
    ])
  }

  schedule(id: SecretId, nextRotationAt: Date | null, was?: Date | null): Promise<void> {
    if (was === undefined) return this.#change(id, 'update secrets set next_rotation_at = $2 where id = $1', [ms(nextRotationAt)])
    const next = `case when coalesce(next_rotation_at, -1) = coalesce(cast($3 as bigint), -1) then $2 else next_rotation_at end`
    return this.#change(id, `update secrets set next_rotation_at = ${next} where id = $1`, [ms(nextRotationAt), ms(was)])
  }

  due(limit: number): Promise<readonly SecretRow[]> {
    return this.#sql.transaction(async tx => {
      const rows = await tx.rows(
        // one that somebody holds is passed over: it keeps no other from its turn
        `${selected} where s.next_rotation_at <= $1 and (r.id is null or r.finished_at is not null)
         order by s.next_rotation_at, s.name limit $2 ${tx.dialect.free('s')}`,
        [tx.now, limit],
      )
      return rows.map(toSecret)
    })
  }

  page(options: { readonly after: SecretName | null; readonly limit: number; readonly open?: boolean }): Promise<readonly SecretRow[]> {
    const { after, limit, open } = options
    const isOpen = '(r.id is not null and r.finished_at is null)'
    const only = open === undefined ? '' : `and ${open ? isOpen : `not ${isOpen}`}`
    return this.#sql.transaction(async tx =>
      (await tx.rows(`${selected} where s.name > $1 ${only} order by s.name limit $2`, [after ?? '', limit])).map(toSecret),
    )
  }

  beginWrite(write: PendingWrite): Promise<WriteIntent> {
    return this.#sql.transaction(tx => beginWrite(tx, write, this.#incarnation))
  }

  endWrite(intent: WriteIntent, made: WriteOutcome | null): Promise<void> {
    return this.#sql.transaction(tx => endWrite(tx, intent, made))
  }

  forget(before: Date): Promise<number> {
    return this.#sql.transaction(tx =>
      tx.change(
        `update versions set kek_id = null, payload = null, wrap = null, sealed_as = null
         where sealed_as is not null and (status is null or status <> 'decrypt-only')
         and (revoked_at < $1 or (label = 'previous' and grace_until < $1))
         and secret_id not in (select secret_id from rotations where finished_at is null)`,
        [ms(before)],
      ),
    )
  }

  unfinishedWrites(): Promise<readonly WriteIntent[]> {
    return this.#sql.transaction(tx => unfinishedWrites(tx, this.#incarnation))
  }

  #change(id: SecretId, statement: string, parameters: readonly SqlValue[]): Promise<void> {
    return this.#sql.transaction(async tx => {
      if ((await tx.change(statement, [id, ...parameters])) === 0) throw noSecret(id)
    })
  }
}

async function one(tx: Transaction, condition: string, value: string): Promise<SecretRow | null> {
  const [row] = await tx.rows(`${selected} where ${condition}`, [value])
  return row === undefined ? null : toSecret(row)
}

function toSecret(row: Row): SecretRow {
  const secret = {
    id: text(row, 'secret_row'),
    name: text(row, 'secret'),
    type: textOrNull(row, 'secret_type'),
    labels: json(row, 'labels'),
    nextRotationAt: timeOrNull(row, 'next_rotation_at'),
    rotation: row.id === null ? null : toRotation(row),
  }
  // id, name and labels were written from values of these types
  return secret as SecretRow
}
