import { integer, json, ms, type Row, type Sql, text, time, timeOrNull } from '@keyturn/sql'
import type { BackupRecord, Backups } from '../ledger.ts'
import { backupChanged, backupKnown } from '../rules/backup.ts'

export class SqlBackups implements Backups {
  readonly #sql: Sql

  constructor(sql: Sql) {
    this.#sql = sql
  }

  add({ id, file, host, reason, bytes, sha256, versions, keks, keepUntil }: Omit<BackupRecord, 'createdAt'>): Promise<BackupRecord> {
    return this.#sql.transaction(async tx => {
      const made = await tx.change(
        `insert into backups (id, created_at, file, host, reason, bytes, sha256, versions, keks, keep_until)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict (id) do nothing`,
        [id, tx.now, file, host, reason, bytes, sha256, versions, JSON.stringify(keks), ms(keepUntil)],
      )
      if (made === 0) throw backupKnown(id)
      return { id, createdAt: new Date(tx.now), file, host, reason, bytes, sha256, versions, keks: { ...keks }, keepUntil }
    })
  }

  all(): Promise<readonly BackupRecord[]> {
    return this.#sql.transaction(async tx => (await tx.rows('select * from backups order by seq')).map(toBackup))
  }

  renew(id: string, before: string, { bytes, sha256, keks }: Pick<BackupRecord, 'bytes' | 'sha256' | 'keks'>): Promise<void> {
    return this.#sql.transaction(async tx => {
      const changed = await tx.change('update backups set bytes = $3, sha256 = $4, keks = $5 where id = $1 and sha256 = $2', [
        id,
        before,
        bytes,
        sha256,
        JSON.stringify(keks),
      ])
      if (changed === 0) throw backupChanged(id)
    })
  }

  remove(id: string): Promise<void> {
    return this.#sql.transaction(async tx => {
      await tx.change('delete from backups where id = $1', [id])
    })
  }
}

function toBackup(row: Row): BackupRecord {
  return {
    id: text(row, 'id'),
    createdAt: time(row, 'created_at'),
    file: text(row, 'file'),
    host: text(row, 'host'),
    reason: text(row, 'reason'),
    bytes: integer(row, 'bytes'),
    sha256: text(row, 'sha256'),
    versions: integer(row, 'versions'),
    // written by `add` and `renew`
    keks: json(row, 'keks') as Readonly<Record<string, number>>,
    keepUntil: timeOrNull(row, 'keep_until'),
  }
}
