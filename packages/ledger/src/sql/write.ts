import { isPromoted } from '@keyturn/core'
import { bytes, integer, integerOrNull, ms, type Row, sealedColumns, type Transaction, text, textOrNull } from '@keyturn/sql'
import type { PendingWrite, WriteIntent } from '../ledger.ts'
import { copy } from '../rules/copy.ts'
import { rotationOpen, writeEnded, writeOpen } from '../rules/refusal.ts'
import { patchedVersions } from '../rules/version.ts'
import { endedSo, keptRow, supersededRow, type WriteOutcome, writeSettlesAfterMs, writtenRows } from '../rules/write.ts'
import { lockOpen, lockSecret, saveVersions, takeNumber, versionsOf } from './journal-rows.ts'

/** Begins a write: the superseded value is kept, and a number spent, before the store hears of it. */
export async function beginWrite(tx: Transaction, write: PendingWrite, incarnation: number): Promise<WriteIntent> {
  const { secretId, superseded, idempotencyKey } = write
  const now = new Date(tx.now)
  const name = await lockSecret(tx, secretId)
  const open = await lockOpen(tx, secretId)
  if (open !== null && !isPromoted(open.rotation.state)) throw rotationOpen(open.rotation, null, now)
  const [other] = await tx.rows('select * from writes where secret_id = $1', [secretId])
  if (other !== undefined && text(other, 'idempotency_key') === idempotencyKey) return toIntent(other)
  if (other !== undefined) throw writeOpen(name, integer(other, 'number'))

  const versions = await versionsOf(tx, secretId)
  const kept = superseded === null ? null : { ...superseded, number: await numberOf(tx, write, versions) }
  if (kept !== null) {
    const row = keptRow(kept, kept.number, secretId, versions, now)
    await saveVersions(tx, patchedVersions(secretId, versions, [row], now))
  }
  const number = await takeNumber(tx, secretId)
  const next = copy(write.next(number))
  await tx.change(
    `insert into writes (secret_id, idempotency_key, number, superseded_version, superseded_number, kek_id, payload, wrap, begun_at, incarnation)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
    [secretId, idempotencyKey, number, kept?.version ?? null, kept?.number ?? null, ...sealedColumns(next), tx.now, incarnation],
  )
  return { secretId, idempotencyKey, number, superseded: kept === null ? null : { version: kept.version, number: kept.number }, next }
}

async function numberOf(
  tx: Transaction,
  { secretId, superseded }: PendingWrite,
  versions: Awaited<ReturnType<typeof versionsOf>>,
): Promise<number> {
  const known = superseded === null ? undefined : supersededRow(versions, superseded.version)
  return known?.number ?? takeNumber(tx, secretId)
}

/** Ends a write. Ending it twice in the same way is no fault: two brokers may settle one. */
export async function endWrite(tx: Transaction, intent: WriteIntent, made: WriteOutcome | null): Promise<void> {
  const { secretId, number } = intent
  await lockSecret(tx, secretId)
  const [row] = await tx.rows('select * from writes where secret_id = $1 and number = $2', [secretId, number])
  const versions = await versionsOf(tx, secretId)
  if (row === undefined) {
    if (endedSo(intent, made, versions)) return
    throw writeEnded(number)
  }
  if (made !== null) {
    const now = new Date(tx.now)
    await saveVersions(tx, patchedVersions(secretId, versions, writtenRows(toIntent(row), made, versions, now), now))
    await tx.change('update secrets set next_rotation_at = $2 where id = $1', [secretId, ms(made.nextRotationAt)])
  }
  await tx.change('delete from writes where secret_id = $1', [secretId])
}

/** Writes that nobody is at any more: begun before this process, where there is one at a time, or longer ago than any request runs. */
export async function unfinishedWrites(tx: Transaction, incarnation: number): Promise<readonly WriteIntent[]> {
  const rows = await tx.rows('select * from writes where incarnation <> $1 or begun_at <= $2 order by begun_at, secret_id', [
    incarnation,
    tx.now - writeSettlesAfterMs,
  ])
  return rows.map(toIntent)
}

function toIntent(row: Row): WriteIntent {
  const version = textOrNull(row, 'superseded_version')
  const number = integerOrNull(row, 'superseded_number')
  const intent = {
    secretId: text(row, 'secret_id'),
    idempotencyKey: text(row, 'idempotency_key'),
    number: integer(row, 'number'),
    superseded: version === null || number === null ? null : { version, number },
    next: { kekId: text(row, 'kek_id'), payload: bytes(row, 'payload'), wrap: bytes(row, 'wrap') },
  }
  // written from a WriteIntent
  return intent as WriteIntent
}
