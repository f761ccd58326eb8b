import { createHmac, timingSafeEqual } from 'node:crypto'
import { BrokerError, type SecretId, type SecretValue, type StoreAdapter, type StorePath, type VersionInfo } from '@keyturn/core'
import { kindOf } from '@keyturn/envelope'
import { integer, type Transaction } from '@keyturn/sql'
import { mustAllow, mustKeepForm } from './conditions.ts'
import { nameOf } from './names.ts'
import type { KnownRow, SecretRow } from './rows.ts'
import { secretIdFrom } from './secret-id.ts'
import type { Parts } from './store.ts'
import { infoOf } from './versions.ts'

type WriteOptions = Parameters<StoreAdapter['write']>[2]

/** One version to be made. */
export interface Making {
  readonly act: 'write' | 'stage'
  readonly path: StorePath
  readonly value: SecretValue
  readonly options: WriteOptions
}

/**
 * Adds a version, and makes it current when it is written rather than staged: one transaction, which holds the secret from the look to the commit. Run
 * again, it looks and seals again. Wraps are reserved before, so that a transaction that is rolled back gives no count back.
 */
export async function addVersion(parts: Parts, making: Making): Promise<VersionInfo> {
  const { signal } = making.options
  signal.throwIfAborted()
  nameOf(making.path)
  await parts.meter.ready(parts.keyring.currentId)
  signal.throwIfAborted()
  // of a secret that is not there yet; the bytes say nothing about it
  const newId = secretIdFrom(parts.context.random)
  return parts.sql.transaction(async tx => {
    const secret = await parts.rows.locked(tx, making.path)
    if (secret !== undefined) return addTo(parts, tx, secret, making)
    mustAllow(making, undefined, [])
    const made = await addSecret(tx, making, newId)
    // somebody else was faster: what they made is there, and committed
    if (made === undefined) return addTo(parts, tx, await mustBeLocked(parts, tx, making.path), making)
    return insert(parts, tx, made, 1, making)
  })
}

async function addTo(parts: Parts, tx: Transaction, secret: SecretRow, making: Making): Promise<VersionInfo> {
  const { act, path, value, options } = making
  const known = await parts.rows.known(tx, secret, options.idempotencyKey)
  const made = known.find(({ intent }) => intent === options.idempotencyKey)
  if (made !== undefined) return replayed(path, secret, made, fingerprintOf(parts, making, secret.id))
  mustAllow(making, secret, known)
  const newest = known.at(-1)
  mustKeepForm(path, secret, newest, kindOf(value))
  options.signal.throwIfAborted()
  if (act === 'write') await makeRoom(tx, secret.number, known)
  const revision = secret.revision + (act === 'write' ? 1 : 0)
  return insert(parts, tx, { ...secret, revision }, (newest?.number ?? 0) + 1, making)
}

/** What was current is previous, and what was previous is older. */
export async function makeRoom(tx: Transaction, secret: number, known: readonly KnownRow[]): Promise<void> {
  const has = (wanted: string) => known.some(({ label }) => label === wanted)
  if (has('previous')) await tx.change("update versions set label = null where secret = $1 and label = 'previous'", [secret])
  if (has('current')) await tx.change("update versions set label = 'previous' where secret = $1 and label = 'current'", [secret])
  await tx.change('update secrets set revision = revision + 1, deleted_at = null where number = $1', [secret])
}

async function addSecret(tx: Transaction, { act, path }: Making, id: SecretId): Promise<SecretRow | undefined> {
  const revision = act === 'write' ? 1 : 0
  const [row] = await tx.rows(
    'insert into secrets (id, path, revision) values ($1, $2, $3) on conflict (path) do nothing returning number',
    [id, path, revision],
  )
  return row === undefined ? undefined : { number: integer(row, 'number'), id, path, revision, deletedAt: null, deletion: null }
}

async function mustBeLocked({ rows }: Parts, tx: Transaction, path: StorePath): Promise<SecretRow> {
  const secret = await rows.locked(tx, path)
  if (secret === undefined) throw new BrokerError('internal', `${path} was made and is not there`)
  return secret
}

/** `secret` with the revision that it will have. */
async function insert(parts: Parts, tx: Transaction, secret: SecretRow, number: number, making: Making): Promise<VersionInfo> {
  const { act, value, options } = making
  const kind = kindOf(value)
  const { kekId, payload, wrap } = parts.sealer.seal({ secretId: secret.id, number, kind }, value)
  const label = act === 'write' ? 'current' : 'pending'
  await tx.change(
    `insert into versions (secret, number, kind, label, created_at, intent, fingerprint, kek_id, payload, wrap)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
    [secret.number, number, kind, label, tx.now, options.idempotencyKey, fingerprintOf(parts, making, secret.id), kekId, payload, wrap],
  )
  return infoOf(secret, { number, label, disabled: 0, createdAt: tx.now, kekId })
}

/** Tells one intent from another that goes by its key. Keyed: a bare hash of a weak value could be guessed from the database. */
function fingerprintOf({ context }: Parts, { act, value }: Making, id: SecretId): Buffer {
  return createHmac('sha256', context.etagKey).update(`keyturn/database-intent/1\0${act}\0${id}\0`).update(value.encode()).digest()
}

function replayed(path: StorePath, secret: SecretRow, made: KnownRow, fingerprint: Buffer): VersionInfo {
  if (made.fingerprint.byteLength === fingerprint.byteLength && timingSafeEqual(made.fingerprint, fingerprint)) return infoOf(secret, made)
  throw new BrokerError('conflict', `${path}: this idempotency key made another version`, { hint: 'use a new key for a new value' })
}
