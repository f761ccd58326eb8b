import { BrokerError, type Random } from '@keyturn/core'
import { integer, type Sql, SqlEnvelopes, type Transaction, text, timeOrNull } from '@keyturn/sql'
import type { Ledger } from '../ledger.ts'
import { SqlBackups } from './backups.ts'
import { SqlCampaigns } from './campaigns.ts'
import { sealedTables } from './envelopes.ts'
import { SqlIdempotencyKeys } from './idempotency.ts'
import { SqlInstances } from './instances.ts'
import { SqlJournal } from './journal.ts'
import { SqlKeks } from './keks.ts'
import { SqlOperations } from './operations.ts'
import { SqlOutbox } from './outbox.ts'
import { SqlSealedRecords } from './sealed-records.ts'
import { SqlSecrets } from './secrets.ts'
import { SqlTokens } from './tokens.ts'

/** The ledger in a database, SQLite or PostgreSQL: one set of statements, two dialects. */
export class SqlLedger implements Ledger {
  readonly id: string
  readonly journal: SqlJournal
  readonly secrets: SqlSecrets
  readonly operations: SqlOperations
  readonly tokens: SqlTokens
  readonly idempotency: SqlIdempotencyKeys
  readonly outbox: SqlOutbox
  readonly sealed: SqlSealedRecords
  readonly envelopes: SqlEnvelopes
  readonly keks: SqlKeks
  readonly instances: SqlInstances
  readonly campaigns: SqlCampaigns
  readonly backups: SqlBackups
  readonly #sql: Sql

  private constructor(sql: Sql, random: Random, id: string, incarnation: number) {
    this.#sql = sql
    this.id = id
    this.journal = new SqlJournal(sql, random)
    this.secrets = new SqlSecrets(sql, random, incarnation)
    this.operations = new SqlOperations(sql, random)
    this.tokens = new SqlTokens(sql)
    this.idempotency = new SqlIdempotencyKeys(sql, incarnation)
    this.outbox = new SqlOutbox(sql)
    this.sealed = new SqlSealedRecords(sql)
    this.envelopes = new SqlEnvelopes(sql, { store: id, tables: sealedTables })
    this.keks = new SqlKeks(sql)
    this.instances = new SqlInstances(sql)
    this.campaigns = new SqlCampaigns(sql, random)
    this.backups = new SqlBackups(sql)
  }

  /** Gives a ledger that was just made the id that it keeps. */
  static async name(tx: Transaction, random: Random): Promise<void> {
    await tx.change('insert into ledger (one, id) values (1, $1)', [random.uuid()])
  }

  /** Takes over a migrated database. */
  static async over(sql: Sql, random: Random): Promise<SqlLedger> {
    const row = await sql.transaction(async tx => (await tx.rows('select id, incarnation from ledger'))[0])
    if (row === undefined) throw new BrokerError('corrupt', 'the ledger does not know its own id')
    return new SqlLedger(sql, random, text(row, 'id'), integer(row, 'incarnation'))
  }

  now(): Promise<Date> {
    return this.#sql.transaction(async tx => new Date(tx.now))
  }

  async check(): Promise<void> {
    // a number that is always another one: SQLite writes nothing when a row stays the same
    await this.#sql.transaction(tx => tx.change('update ledger set checks = checks + 1'))
  }

  nextDeadline(): Promise<Date | null> {
    return this.#sql.transaction(async tx => {
      // a holder is at work: nobody else can do anything before its lease ends
      const [row] = await tx.rows(
        `select min(at) as at from (
           select case when lease_until > wake_at then lease_until else wake_at end as at from rotations where finished_at is null and wake_at is not null
           union all
           select next_rotation_at as at from secrets s where next_rotation_at is not null
             and not exists (select 1 from rotations r where r.secret_id = s.id and r.finished_at is null)
         ) deadlines`,
      )
      return row === undefined ? null : timeOrNull(row, 'at')
    })
  }

  close(): Promise<void> {
    return this.#sql.close()
  }
}
