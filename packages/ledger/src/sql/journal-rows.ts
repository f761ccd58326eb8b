import type { LedgerVersion, Revocation, Rotation, RotationId, SecretId, SecretName } from '@keyturn/core'
import { integer, integerOrNull, ms, type Row, type Transaction, text, textOrNull } from '@keyturn/sql'
import { noRotation, noSecret } from '../rules/refusal.ts'
import { rotationColumns, rotationValues, toRevocation, toRotation, toVersion, versionColumns, versionValues } from './rotation-row.ts'

/** A rotation with what only the ledger knows of it. */
export interface HeldRotation {
  readonly rotation: Rotation
  readonly lease: { readonly holder: string; readonly until: number } | null
  readonly woken: boolean
}

/** Rows are locked in this order: secret, rotation, the rest. So no two transactions wait for each other. */
export async function lockSecret(tx: Transaction, id: SecretId): Promise<SecretName> {
  const [row] = await tx.rows(`select name from secrets where id = $1 ${tx.dialect.locked('secrets')}`, [id])
  if (row === undefined) throw noSecret(id)
  // written from a SecretName
  return text(row, 'name') as SecretName
}

const selected = 'select r.*, s.name as secret from rotations r join secrets s on s.id = r.secret_id'

export async function lockRotation(tx: Transaction, id: RotationId): Promise<HeldRotation> {
  const [row] = await tx.rows(`${selected} where r.id = $1 ${tx.dialect.locked('r')}`, [id])
  if (row === undefined) throw noRotation(id)
  return toHeld(row)
}

export async function findRotation(tx: Transaction, id: RotationId): Promise<Rotation> {
  const [row] = await tx.rows(`${selected} where r.id = $1`, [id])
  if (row === undefined) throw noRotation(id)
  return toRotation(row)
}

export async function lockOpen(tx: Transaction, secretId: SecretId): Promise<HeldRotation | null> {
  const [row] = await tx.rows(`${selected} where r.secret_id = $1 and r.finished_at is null ${tx.dialect.locked('r')}`, [secretId])
  return row === undefined ? null : toHeld(row)
}

/** The rotation that has been due longest and that no living holder has; passes over those of a secret that somebody is at, as another broker. */
export async function lockDue(tx: Transaction, only: RotationId | null): Promise<HeldRotation | null> {
  const one = only === null ? '' : 'and r.id = $2'
  const [row] = await tx.rows(
    `${selected} where r.finished_at is null and r.wake_at <= $1 and (r.lease_until is null or r.lease_until <= $1) ${one}
     order by r.wake_at, r.id limit 1 ${tx.dialect.free('r, s')}`,
    only === null ? [tx.now] : [tx.now, only],
  )
  return row === undefined ? null : toHeld(row)
}

function toHeld(row: Row): HeldRotation {
  const holder = textOrNull(row, 'lease_holder')
  const until = integerOrNull(row, 'lease_until')
  return {
    rotation: toRotation(row),
    lease: holder === null || until === null ? null : { holder, until },
    woken: integer(row, 'woken') === 1,
  }
}

const insertColumns = ['id', 'secret_id', ...rotationColumns]
const insertion = `insert into rotations (${insertColumns.join(', ')}) values (${insertColumns.map((_, index) => `$${index + 1}`).join(', ')})`
const settings = [...rotationColumns, 'lease_holder', 'lease_until', 'woken'].map((column, index) => `${column} = $${index + 2}`).join(', ')

export async function insertRotation(tx: Transaction, rotation: Rotation): Promise<void> {
  await tx.change(insertion, [rotation.id, rotation.secretId, ...rotationValues(rotation)])
}

export async function saveRotation(tx: Transaction, { rotation, lease, woken }: HeldRotation): Promise<void> {
  await tx.change(`update rotations set ${settings} where id = $1`, [
    rotation.id,
    ...rotationValues(rotation),
    lease?.holder ?? null,
    lease?.until ?? null,
    woken ? 1 : 0,
  ])
}

export async function versionsOf(tx: Transaction, secretId: SecretId): Promise<readonly LedgerVersion[]> {
  const rows = await tx.rows(`select ${versionColumns} from versions where secret_id = $1 order by number desc`, [secretId])
  return rows.map(toVersion)
}

/** The versions that a change of these numbers can touch or collide with: a secret may have had thousands. */
export async function versionsAround(tx: Transaction, secretId: SecretId, numbers: readonly number[]): Promise<readonly LedgerVersion[]> {
  const rows = await tx.rows(
    `select ${versionColumns} from versions where secret_id = $1 and (label in ('current', 'pending') or status = 'primary' or number in (${list(numbers)}))`,
    [secretId, ...numbers],
  )
  return rows.map(toVersion)
}

// the first parameter is the secret; a list may not be empty, and no version has the number 0
const list = (numbers: readonly number[]): string => ['0', ...numbers.map((_, index) => `$${index + 2}`)].join(', ')

const versionInsertion = `insert into versions (${versionColumns}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
  on conflict (secret_id, number) do update set version = excluded.version, label = excluded.label, status = excluded.status, fate = excluded.fate,
  kek_id = excluded.kek_id, payload = excluded.payload, wrap = excluded.wrap, sealed_as = excluded.sealed_as, rotation = excluded.rotation,
  created_at = excluded.created_at, superseded_at = excluded.superseded_at, grace_until = excluded.grace_until, revoked_at = excluded.revoked_at`

/** Writes rows whole. What they gave up is taken first, so that a label or a status never belongs to two, not even for one statement. */
export async function saveVersions(tx: Transaction, rows: readonly LedgerVersion[]): Promise<void> {
  if (rows.length > 1) {
    for (const { secretId, number } of rows) {
      await tx.change('update versions set label = null, status = null where secret_id = $1 and number = $2', [secretId, number])
    }
  }
  for (const row of rows) await tx.change(versionInsertion, versionValues(row))
  const last = rows.reduce<LedgerVersion | null>((newest, row) => (newest === null || row.number > newest.number ? row : newest), null)
  if (last !== null) {
    await tx.change('update secrets set next_number = $2 where id = $1 and next_number < $2', [last.secretId, last.number + 1])
  }
}

export async function revocationsAround(tx: Transaction, secretId: SecretId, numbers: readonly number[]): Promise<readonly Revocation[]> {
  const rows = await tx.rows(`select * from revocations where secret_id = $1 and number in (${list(numbers)})`, [secretId, ...numbers])
  return rows.map(toRevocation)
}

export async function saveRevocations(tx: Transaction, rows: readonly Revocation[]): Promise<void> {
  for (const { secretId, number, rotation, dueAt, state } of rows) {
    await tx.change(
      `insert into revocations (secret_id, number, rotation, due_at, state) values ($1, $2, $3, $4, $5)
       on conflict (secret_id, number) do update set rotation = excluded.rotation, due_at = excluded.due_at, state = excluded.state`,
      [secretId, number, rotation, ms(dueAt), state],
    )
  }
}

/** The next number of a secret, spent. */
export async function takeNumber(tx: Transaction, secretId: SecretId): Promise<number> {
  const [row] = await tx.rows('update secrets set next_number = next_number + 1 where id = $1 returning next_number - 1 as number', [
    secretId,
  ])
  if (row === undefined) throw noSecret(secretId)
  return integer(row, 'number')
}
