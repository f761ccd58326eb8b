import { BrokerError } from '@keyturn/core'
import { bytes, integer, ms, type Row, type Sql, type Transaction, text, time, timeOrNull } from '@keyturn/sql'
import type { TokenRow, Tokens } from '../ledger.ts'
import { noToken } from '../rules/refusal.ts'

export class SqlTokens implements Tokens {
  readonly #sql: Sql

  constructor(sql: Sql) {
    this.#sql = sql
  }

  add(token: Omit<TokenRow, 'revokedAt' | 'createdAt'>): Promise<TokenRow> {
    const { id, name, role, mac, expiresAt } = token
    return this.#sql.transaction(async tx => {
      const made = await tx.change(
        'insert into tokens (id, name, role, mac, created_at, expires_at) values ($1, $2, $3, $4, $5, $6) on conflict do nothing',
        [id, name, role, mac, tx.now, ms(expiresAt)],
      )
      if (made === 0) throw new BrokerError('conflict', `token ${id} is in the ledger already`)
      await grow(tx)
      return { id, name, role, mac: Uint8Array.from(mac), createdAt: new Date(tx.now), expiresAt, revokedAt: null }
    })
  }

  byMac(mac: Uint8Array): Promise<TokenRow | null> {
    return this.#sql.transaction(async tx => {
      const [row] = await tx.rows('select * from tokens where mac = $1', [mac])
      return row === undefined ? null : toToken(row)
    })
  }

  list(): Promise<readonly TokenRow[]> {
    return this.#sql.transaction(async tx => (await tx.rows('select * from tokens order by created_at, id')).map(toToken))
  }

  revoke(id: string): Promise<TokenRow> {
    return this.#sql.transaction(async tx => {
      if ((await tx.change('update tokens set revoked_at = $2 where id = $1 and revoked_at is null', [id, tx.now])) > 0) await grow(tx)
      const [row] = await tx.rows('select * from tokens where id = $1', [id])
      if (row === undefined) throw noToken(id)
      return toToken(row)
    })
  }

  revision(): Promise<number> {
    return this.#sql.transaction(async tx => {
      const [row] = await tx.rows('select token_revision from ledger')
      return row === undefined ? 0 : integer(row, 'token_revision')
    })
  }
}

async function grow(tx: Transaction): Promise<void> {
  await tx.change('update ledger set token_revision = token_revision + 1')
}

function toToken(row: Row): TokenRow {
  return {
    id: text(row, 'id'),
    name: text(row, 'name'),
    role: text(row, 'role'),
    mac: bytes(row, 'mac'),
    createdAt: time(row, 'created_at'),
    expiresAt: timeOrNull(row, 'expires_at'),
    revokedAt: timeOrNull(row, 'revoked_at'),
  }
}
