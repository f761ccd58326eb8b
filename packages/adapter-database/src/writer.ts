import { createHmac, timingSafeEqual } from 'node:crypto'
import { BrokerError, type Etag, type SecretId, type SecretValue, type StoreAdapter, type StorePath, type VersionInfo } from '@keyturn/core'
import { kindOf } from '@keyturn/envelope'
import { nameOf } from './names.ts'
import type { IntentRow, SecretRow, VersionRow } from './rows.ts'
import { secretIdFrom } from './secret-id.ts'
import type { Parts } from './store.ts'
import { etagOf, find, findVersion, gone, infoOf } from './versions.ts'

type WriteOptions = Parameters<StoreAdapter['write']>[2]
type Act = 'write' | 'stage'

/** Everything that changes which version is current. */
export interface Writer {
  add(act: Act, path: StorePath, value: SecretValue, options: WriteOptions): Promise<VersionInfo>
  readonly promote: NonNullable<StoreAdapter['stages']>['promote']
  readonly remove: NonNullable<StoreAdapter['delete']>
  readonly restore: NonNullable<StoreAdapter['restore']>
}

/**
 * Each operation looks, seals and commits in one turn of the event loop, and no other process has the file: nothing can come between
 * the look and the commit.
 */
export function openWriter(parts: Parts): Writer {
  const { client, rows, context } = parts
  return {
    async add(act, path, value, options) {
      options.signal.throwIfAborted()
      nameOf(path)
      const kekId = parts.keyring.currentId
      await parts.meter.ready(kekId)
      options.signal.throwIfAborted()
      return addVersion(parts, act, path, value, options)
    },
    async promote(path, { from, to }, { signal }) {
      signal.throwIfAborted()
      const secret = find(rows, path)
      const target = findVersion(rows, secret, to)
      if (target.label === 'current') return
      const current = rows.labelled(secret.number, 'current')
      if ((current === undefined ? null : String(current.number)) !== from) {
        throw new BrokerError('conflict', `${path}: version ${from ?? 'none'} is no longer current`, { hint: 'read it again' })
      }
      if (target.kek === null || target.disabled === 1) {
        const state = infoOf(secret, target).state
        throw new BrokerError('precondition_failed', `version ${to} of ${path} is ${state} and cannot become current`)
      }
      client.transaction(() => {
        rows.relabel(null, secret.number, 'previous')
        rows.relabel('previous', secret.number, 'current')
        rows.label('current', secret.number, target.number)
        rows.touch(secret.number)
      })
    },
    async remove(path, { idempotencyKey, ifMatch, signal }) {
      signal.throwIfAborted()
      const secret = rows.secret(path)
      if (secret?.deletion === idempotencyKey) return
      if (secret === undefined || secret.deleted_at !== null || rows.labelled(secret.number, 'current') === undefined)
        throw gone(rows, path)
      mustMatch(path, ifMatch, etagOf(secret))
      client.transaction(() => rows.remove(context.clock.now().getTime(), idempotencyKey, secret.number))
    },
    async restore(path, { signal }) {
      signal.throwIfAborted()
      const secret = rows.secret(path)
      if (secret === undefined) throw gone(rows, path)
      if (secret.deleted_at !== null) client.transaction(() => rows.touch(secret.number))
    },
  }
}

function addVersion(parts: Parts, act: Act, path: StorePath, value: SecretValue, options: WriteOptions): VersionInfo {
  const { client, rows, sealer, context } = parts
  const before = rows.secret(path)
  const id = before?.id ?? secretIdFrom(context.random)
  const fingerprint = fingerprintOf(parts, act, id, value)
  const made = before === undefined ? undefined : rows.byIntent(before.number, options.idempotencyKey)
  if (before !== undefined && made !== undefined) return replayed(path, before, made, fingerprint)

  mustAllow(parts, act, path, before, options.ifMatch)
  const kind = kindOf(value)
  const newest = before === undefined ? undefined : rows.newest(before.number)
  mustKeepForm(path, before, newest, kind)
  const number = (newest?.number ?? 0) + 1
  // outside the transaction: sealing may count wraps, and a count must not be rolled back
  const { kekId, payload, wrap } = sealer.seal({ secretId: id, number, kind }, value)
  const label = act === 'write' ? 'current' : 'pending'
  const createdAt = context.clock.now().getTime()
  client.transaction(() => {
    const secret = before?.number ?? Number(rows.addSecret(id, path).lastInsertRowid)
    if (act === 'write') {
      rows.relabel(null, secret, 'previous')
      rows.relabel('previous', secret, 'current')
    }
    rows.addVersion(secret, number, kind, label, createdAt, options.idempotencyKey, fingerprint, kekId, payload, wrap)
    if (act === 'write') rows.touch(secret)
  })
  const revision = (before?.revision ?? 0) + (act === 'write' ? 1 : 0)
  return infoOf({ revision }, { number, label, disabled: 0, created_at: createdAt, kek: kekId })
}

/** Tells one intent from another that goes by its key. Keyed: a bare hash of a weak value could be guessed from the file. */
function fingerprintOf({ context }: Parts, act: Act, id: SecretId, value: SecretValue): Buffer {
  return createHmac('sha256', context.etagKey).update(`keyturn/database-intent/1\0${act}\0${id}\0`).update(value.encode()).digest()
}

function replayed(path: StorePath, secret: SecretRow, made: IntentRow, fingerprint: Buffer): VersionInfo {
  if (timingSafeEqual(made.fingerprint, fingerprint)) return infoOf(secret, made)
  throw new BrokerError('conflict', `${path}: this idempotency key made another version`, { hint: 'use a new key for a new value' })
}

function mustAllow({ rows }: Parts, act: Act, path: StorePath, secret: SecretRow | undefined, ifMatch: Etag | null | undefined): void {
  const live = secret !== undefined && secret.deleted_at === null
  if (act === 'stage' && secret !== undefined && !live) {
    throw new BrokerError('precondition_failed', `${path} was deleted; nothing can be staged there`, {
      hint: 'restore it, or write it anew',
    })
  }
  const readable = live && rows.labelled(secret.number, 'current') !== undefined
  mustMatch(path, ifMatch, readable ? etagOf(secret) : null)
}

function mustMatch(path: StorePath, wanted: Etag | null | undefined, etag: Etag | null): void {
  if (wanted === undefined || wanted === etag) return
  const why = wanted === null ? 'is there already' : 'has changed since it was read'
  throw new BrokerError('conflict', `${path} ${why}`, { hint: 'read it again' })
}

/** A secret is one value or a set of fields, as it was first written; only a deletion ends that. */
function mustKeepForm(
  path: StorePath,
  secret: SecretRow | undefined,
  newest: Pick<VersionRow, 'kind'> | undefined,
  kind: VersionRow['kind'],
): void {
  if (secret === undefined || newest === undefined || secret.deleted_at !== null) return
  const fields = newest.kind === 'fields'
  if (fields === (kind === 'fields')) return
  const [is, write] = fields ? ['a set of fields', 'fields'] : ['one value', 'one value']
  throw new BrokerError('invalid_argument', `${path} is ${is}, as it was first written`, {
    hint: `write ${write}; to change its form, delete the secret and write it anew`,
  })
}
