import { isPromoted, type LedgerVersion, type Rotation, type SecretId, type SecretName } from '@keyturn/core'
import { newSecretId } from '../identifier.ts'
import type { PendingWrite, SecretRow, Secrets, WriteIntent } from '../ledger.ts'
import { copy } from '../rules/copy.ts'
import { rotationOpen, writeEnded, writeOpen } from '../rules/refusal.ts'
import { patchedVersions } from '../rules/version.ts'
import { endedSo, keptRow, supersededRow, type WriteOutcome, writeSettlesAfterMs, writtenRows } from '../rules/write.ts'
import type { MemorySecret, MemoryState } from './state.ts'

type Facts = { readonly type?: string; readonly labels?: Readonly<Record<string, string>> }

export class MemorySecrets implements Secrets {
  readonly #state: MemoryState

  constructor(state: MemoryState) {
    this.#state = state
  }

  async ensure(name: SecretName, facts: Facts = {}): Promise<SecretRow> {
    const state = this.#state
    const known = state.names.get(name)
    if (known !== undefined) return this.#row(state.secret(known))
    const id = newSecretId(state.random)
    const { type, labels } = copy(facts)
    state.secrets.set(id, { id, name, type: type ?? null, labels: labels ?? {}, nextRotationAt: null, nextNumber: 1, rotation: null })
    state.names.set(name, id)
    return this.#row(state.secret(id))
  }

  async byName(name: SecretName): Promise<SecretRow | null> {
    const id = this.#state.names.get(name)
    return id === undefined ? null : this.#row(this.#state.secret(id))
  }

  async byId(id: SecretId): Promise<SecretRow | null> {
    const secret = this.#state.secrets.get(id)
    return secret === undefined ? null : this.#row(secret)
  }

  async describe(id: SecretId, facts: Facts): Promise<void> {
    const { type, labels } = copy(facts)
    this.#state.putSecret(id, { ...(type === undefined ? {} : { type }), ...(labels === undefined ? {} : { labels }) })
  }

  async schedule(id: SecretId, nextRotationAt: Date | null, was?: Date | null): Promise<void> {
    const now = this.#state.secret(id).nextRotationAt
    if (was !== undefined && now?.getTime() !== was?.getTime()) return
    this.#state.putSecret(id, { nextRotationAt: copy(nextRotationAt) })
  }

  async due(limit: number): Promise<readonly SecretRow[]> {
    const state = this.#state
    const now = state.clock.now()
    return [...state.secrets.values()]
      .filter(({ id, nextRotationAt }) => nextRotationAt !== null && nextRotationAt <= now && !state.open.has(id))
      .sort((a, b) => Number(a.nextRotationAt) - Number(b.nextRotationAt) || byBytes(a.name, b.name))
      .slice(0, limit)
      .map(secret => this.#row(secret))
  }

  async page(options: {
    readonly after: SecretName | null
    readonly limit: number
    readonly open?: boolean
  }): Promise<readonly SecretRow[]> {
    const { after, limit, open } = options
    return [...this.#state.secrets.values()]
      .filter(({ name }) => after === null || byBytes(name, after) > 0)
      .filter(({ id }) => open === undefined || this.#state.open.has(id) === open)
      .sort((a, b) => byBytes(a.name, b.name))
      .slice(0, limit)
      .map(secret => this.#row(secret))
  }

  async beginWrite(write: PendingWrite): Promise<WriteIntent> {
    const state = this.#state
    const now = state.clock.now()
    const { id, name, nextNumber } = state.secret(write.secretId)
    const open = state.openOf(id)
    if (open !== null && !isPromoted(open.rotation.state)) throw rotationOpen(open.rotation, null, now)
    const other = state.writes.get(id)
    if (other?.intent.idempotencyKey === write.idempotencyKey) return copy(other.intent)
    if (other !== undefined) throw writeOpen(name, other.intent.number)

    const { superseded } = write
    const versions = state.versionsOf(id)
    const known = superseded === null ? undefined : supersededRow(versions, superseded.version)
    const supersededNumber = known?.number ?? nextNumber
    const number = superseded === null || known !== undefined ? nextNumber : nextNumber + 1
    const kept = superseded === null ? [] : [keptRow(superseded, supersededNumber, id, versions, now)]
    const intent: WriteIntent = {
      secretId: id,
      idempotencyKey: write.idempotencyKey,
      number,
      superseded: superseded === null ? null : { version: superseded.version, number: supersededNumber },
      next: copy(write.next(number)),
    }
    const rows = patchedVersions(id, versions, copy(kept), now)
    state.admit(intent.next)
    state.putVersions(id, rows)
    state.putSecret(id, { nextNumber: number + 1 })
    state.writes.set(id, { intent, begunAt: now, incarnation: state.incarnation })
    return copy(intent)
  }

  async endWrite(intent: WriteIntent, made: WriteOutcome | null): Promise<void> {
    const state = this.#state
    const { secretId, number } = intent
    const write = state.writes.get(secretId)
    const versions = state.versionsOf(secretId)
    if (write?.intent.number !== number) {
      if (endedSo(intent, made, versions)) return
      throw writeEnded(number)
    }
    if (made !== null) {
      const now = state.clock.now()
      const rows = patchedVersions(secretId, versions, writtenRows(write.intent, copy(made), versions, now), now)
      state.putVersions(secretId, rows)
      state.putSecret(secretId, { nextRotationAt: copy(made.nextRotationAt) })
    }
    state.writes.delete(secretId)
  }

  async forget(before: Date): Promise<number> {
    const state = this.#state
    const idle = [...state.secrets.keys()].filter(id => !state.open.has(id))
    const dropped = idle.map(id => {
      const rows = state.versionsOf(id).filter(row => isBackupOnly(row, before))
      state.putVersions(
        id,
        rows.map(row => ({ ...row, sealed: null, sealedAs: null })),
      )
      return rows.length
    })
    return dropped.reduce((sum, count) => sum + count, 0)
  }

  async unfinishedWrites(): Promise<readonly WriteIntent[]> {
    const { writes, incarnation, clock } = this.#state
    const settles = clock.now().getTime() - writeSettlesAfterMs
    return [...writes.values()]
      .filter(write => write.incarnation !== incarnation || write.begunAt.getTime() <= settles)
      .sort((a, b) => a.begunAt.getTime() - b.begunAt.getTime() || byBytes(a.intent.secretId, b.intent.secretId))
      .map(({ intent }) => copy(intent))
  }

  #row(secret: MemorySecret): SecretRow {
    const { id, name, type, labels, nextRotationAt } = secret
    const rotation: Rotation | null = secret.rotation === null ? null : this.#state.held(secret.rotation).rotation
    return copy({ id, name, type, labels, nextRotationAt, rotation })
  }
}

/** The order of databases with binary collation: by the bytes of UTF-8. */
function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

function isBackupOnly({ sealed, status, label, revokedAt, graceUntil }: LedgerVersion, before: Date): boolean {
  if (sealed === null || status === 'decrypt-only') return false
  return (revokedAt !== null && revokedAt < before) || (label === 'previous' && graceUntil !== null && graceUntil < before)
}
