import assert from 'node:assert/strict'
import {
  BrokerError,
  type Change,
  type ErrorCode,
  type Lease,
  type Rotation,
  type RotationRequest,
  type Sealed,
  type SecretName,
  secretName,
  type VersionId,
} from '@keyturn/core'
import type { Ledger, SecretRow, WriteIntent } from '../ledger.ts'

/** A fresh, empty ledger whose time passes as a check says. */
export interface Subject {
  readonly ledger: Ledger
  /** Lets time pass for the ledger's own clock. */
  advance(ms: number): Promise<void>
  /** The process dies and another one opens the same ledger; present where one process at a time is the rule. */
  restart?(): Promise<Ledger>
}

/** One promise of the contract. Any runner can run it; a mutant can name the check that must catch it. */
export interface LedgerCheck {
  readonly title: string
  /** Left out where the subject cannot do it. */
  readonly needs?: 'restart'
  readonly run: (subject: Subject) => Promise<void>
}

export const minute = 60_000
export const hour = 60 * minute
export const leaseMs = 30_000

export const named = (text: string): SecretName => secretName(text)
// ids that a store would make
export const versionId = (text: string): VersionId => text as VersionId

export function sealed(text: string): Sealed {
  return { kekId: 'k1', payload: Uint8Array.from(Buffer.from(`payload of ${text}`)), wrap: Uint8Array.from(Buffer.from(`wrap of ${text}`)) }
}

export function opened(value: Sealed | null | undefined): string | null {
  return value == null ? null : Buffer.from(value.payload).toString().replace('payload of ', '')
}

export function request(secret: SecretRow, more: Partial<RotationRequest> = {}): RotationRequest {
  return {
    secretId: secret.id,
    secret: secret.name,
    strategy: 'generated',
    trigger: 'manual',
    mode: 'normal',
    reason: 'a check',
    graceOverrideMs: null,
    op: null,
    approved: false,
    ...more,
  }
}

/** A secret with an open rotation. */
export async function opening(ledger: Ledger, name = 'a/secret', more: Partial<RotationRequest> = {}) {
  const secret = await ledger.secrets.ensure(named(name))
  return { secret, rotation: await ledger.journal.open(request(secret, more)) }
}

/** The same, claimed. */
export async function holding(ledger: Ledger, name = 'a/secret', more: Partial<RotationRequest> = {}) {
  const { secret, rotation } = await opening(ledger, name, more)
  return { secret, rotation, lease: await claim(ledger, rotation) }
}

export async function claim(ledger: Ledger, rotation?: Rotation, holder = 'worker-1'): Promise<Lease> {
  const lease = await ledger.journal.claim({ holder, leaseMs, ...(rotation === undefined ? {} : { rotation: rotation.id }) })
  assert(lease !== null, 'the rotation should be there to claim')
  return lease
}

/** What a promotion records: version 1 superseded with an hour of grace, version 2 current. */
export async function promoting(ledger: Ledger, lease: Lease, graceMs = hour): Promise<Lease> {
  const base = await ledger.journal.reserve(lease)
  const number = await ledger.journal.reserve(lease)
  const now = await ledger.now()
  const graceUntil = new Date(now.getTime() + graceMs)
  const before = await ledger.journal.record(lease, {
    rotation: { state: 'verified', number, base: { number: base, version: versionId('v1'), etag: 'e1' as never } },
    versions: [
      { number: base, version: versionId('v1'), label: 'current', sealed: sealed('one'), sealedAs: 'previous' },
      { number, label: 'pending', sealed: sealed('two'), sealedAs: 'pending', rotation: lease.rotation.id },
    ],
  })
  return ledger.journal.record(before, {
    rotation: { state: 'promoted', version: versionId('v2'), graceUntil },
    versions: [
      { number, version: versionId('v2'), label: 'current' },
      { number: base, label: 'previous', supersededAt: now, graceUntil },
    ],
    revocations: [{ number: base, dueAt: graceUntil }],
    events: [{ action: 'rotation.promoted', outcome: 'allowed', version: 'v2', code: null }],
  })
}

export function toState(ledger: Ledger, lease: Lease, state: Rotation['state'], more: Change = {}): Promise<Lease> {
  return ledger.journal.record(lease, { ...more, rotation: { ...more.rotation, state } })
}

/** A write through the broker that supersedes `before` (null: nothing). */
export function writing(ledger: Ledger, secret: SecretRow, key: string, before: string | null): Promise<WriteIntent> {
  return ledger.secrets.beginWrite({
    secretId: secret.id,
    idempotencyKey: key,
    superseded: before === null ? null : { version: versionId(before), seal: number => sealed(`${before} as ${number}`) },
    next: number => sealed(`${key} as ${number}`),
  })
}

/** Demands that it is refused, with this code, and gives back the error. */
export async function refused(code: ErrorCode, attempt: Promise<unknown>): Promise<BrokerError> {
  const error = await attempt.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  assert(
    error instanceof BrokerError,
    `should be refused with ${code}, but ${error === undefined ? 'went through' : `failed: ${String(error)}`}`,
  )
  assert.equal(error.code, code, error.message)
  return error
}
