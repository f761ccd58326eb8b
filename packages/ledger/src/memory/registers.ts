import { BrokerError, type OperationId, type RotationId, type Sealed, type SecretId } from '@keyturn/core'
import { newOperationId } from '../identifier.ts'
import type {
  IdempotencyKeys,
  Operation,
  OperationItem,
  OperationKind,
  Operations,
  Outbox,
  OutboxRow,
  SealedRecords,
  TokenRow,
  Tokens,
} from '../ledger.ts'
import { answerKeptMs, repeated, requestRunsMs } from '../rules/answer.ts'
import { copy } from '../rules/copy.ts'
import { noToken } from '../rules/refusal.ts'
import type { MemoryState } from './state.ts'

export class MemoryOperations implements Operations {
  readonly #state: MemoryState

  constructor(state: MemoryState) {
    this.#state = state
  }

  async create(operation: { readonly kind: OperationKind; readonly principal: string; readonly reason: string }): Promise<OperationId> {
    const state = this.#state
    const id = newOperationId(state.random)
    const { kind, principal, reason } = operation
    state.operations.set(id, { id, kind, principal, reason, startedAt: state.clock.now() })
    return id
  }

  async add(
    id: OperationId,
    item: { readonly secretId: SecretId; readonly rotation: RotationId | null; readonly error: OperationItem['error'] },
  ): Promise<void> {
    const state = this.#state
    if (!state.operations.has(id)) throw new BrokerError('not_found', `no operation ${id} in the ledger`)
    state.secret(item.secretId)
    if (item.rotation !== null) state.held(item.rotation)
    const { secretId, rotation, error } = copy(item)
    state.items.set(id, new Map([...(state.items.get(id) ?? []), [secretId, { rotation, error }]]))
  }

  async byId(id: OperationId): Promise<Operation | null> {
    const state = this.#state
    const operation = state.operations.get(id)
    if (operation === undefined) return null
    const items = [...(state.items.get(id) ?? [])].map(([secretId, { rotation, error }]) => ({
      secretId,
      name: state.secret(secretId).name,
      rotation: rotation === null ? null : state.held(rotation).rotation,
      error,
    }))
    return copy({ ...operation, items })
  }
}

export class MemoryTokens implements Tokens {
  readonly #state: MemoryState

  constructor(state: MemoryState) {
    this.#state = state
  }

  async add(token: Omit<TokenRow, 'revokedAt' | 'createdAt'>): Promise<TokenRow> {
    const state = this.#state
    if (state.tokens.has(token.id) || this.#find(token.mac) !== undefined) {
      throw new BrokerError('conflict', `token ${token.id} is in the ledger already`)
    }
    const { id, name, role, mac, expiresAt } = copy(token)
    const row = { id, name, role, mac, createdAt: state.clock.now(), expiresAt, revokedAt: null }
    state.tokens.set(id, row)
    state.tokenRevision += 1
    return copy(row)
  }

  async byMac(mac: Uint8Array): Promise<TokenRow | null> {
    return copy(this.#find(mac) ?? null)
  }

  async list(): Promise<readonly TokenRow[]> {
    return copy([...this.#state.tokens.values()].sort((a, b) => a.createdAt.getTime() - b.createdAt.getTime() || (a.id < b.id ? -1 : 1)))
  }

  async revoke(id: string): Promise<TokenRow> {
    const state = this.#state
    const row = state.tokens.get(id)
    if (row === undefined) throw noToken(id)
    if (row.revokedAt !== null) return copy(row)
    const revoked = { ...row, revokedAt: state.clock.now() }
    state.tokens.set(id, revoked)
    state.tokenRevision += 1
    return copy(revoked)
  }

  async revision(): Promise<number> {
    return this.#state.tokenRevision
  }

  #find(mac: Uint8Array): TokenRow | undefined {
    return [...this.#state.tokens.values()].find(row => Buffer.compare(row.mac, mac) === 0)
  }
}

type Key = { readonly principal: string; readonly route: string; readonly key: string }

export class MemoryIdempotencyKeys implements IdempotencyKeys {
  readonly #state: MemoryState

  constructor(state: MemoryState) {
    this.#state = state
  }

  async begin(key: Key & { readonly bodyHash: Uint8Array }): Promise<{ readonly status: number; readonly body: string } | null> {
    const state = this.#state
    const now = state.clock.now()
    const begun = state.answers.get(nameOf(key))
    const ageMs = begun === undefined ? 0 : now.getTime() - begun.begunAt.getTime()
    const died = begun?.answer === null && (begun.incarnation !== state.incarnation || ageMs >= requestRunsMs)
    if (begun !== undefined && !died && ageMs < answerKeptMs) return copy(repeated(begun, key.bodyHash))
    state.answers.set(nameOf(key), { bodyHash: copy(key.bodyHash), answer: null, begunAt: now, incarnation: state.incarnation })
    return null
  }

  async end(key: Key, answer: { readonly status: number; readonly body: string } | null): Promise<void> {
    const begun = this.#state.answers.get(nameOf(key))
    if (begun === undefined || begun.answer !== null) return
    if (answer === null) this.#state.answers.delete(nameOf(key))
    else this.#state.answers.set(nameOf(key), { ...begun, answer: copy({ status: answer.status, body: answer.body }) })
  }
}

const nameOf = ({ principal, route, key }: Key): string => JSON.stringify([principal, route, key])

export class MemoryOutbox implements Outbox {
  readonly #state: MemoryState

  constructor(state: MemoryState) {
    this.#state = state
  }

  async pending(limit: number): Promise<readonly OutboxRow[]> {
    return copy([...this.#state.outbox.values()].slice(0, limit))
  }

  async delivered(ids: readonly number[]): Promise<void> {
    for (const id of ids) this.#state.outbox.delete(id)
  }

  async deliver(limit: number, take: (rows: readonly OutboxRow[]) => Promise<void>): Promise<void> {
    const rows = await this.pending(limit)
    await take(rows)
    await this.delivered(rows.map(({ id }) => id))
  }
}

export class MemorySealedRecords implements SealedRecords {
  readonly #state: MemoryState

  constructor(state: MemoryState) {
    this.#state = state
  }

  async get(name: string): Promise<Sealed | null> {
    return copy(this.#state.sealed.get(name) ?? null)
  }

  async put(name: string, sealed: Sealed, before: Sealed | null): Promise<void> {
    if (!same(this.#state.sealed.get(name) ?? null, before)) {
      throw new BrokerError('conflict', `the sealed record ${name} is not what was read any more`)
    }
    // what stays under its KEK needs no leave, as in SQL
    if (sealed.kekId !== before?.kekId) this.#state.admit(sealed)
    this.#state.sealed.set(name, copy(sealed))
  }
}

function same(a: Sealed | null, b: Sealed | null): boolean {
  if (a === null || b === null) return a === b
  return a.kekId === b.kekId && Buffer.compare(a.payload, b.payload) === 0 && Buffer.compare(a.wrap, b.wrap) === 0
}
