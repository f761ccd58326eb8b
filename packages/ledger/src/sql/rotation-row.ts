import type { LedgerVersion, Revocation, Rotation } from '@keyturn/core'
import {
  integer,
  integerOrNull,
  json,
  ms,
  type Row,
  type SqlValue,
  sealedColumns,
  sealedOrNull,
  text,
  textOrNull,
  time,
  timeOrNull,
} from '@keyturn/sql'

/** The columns of a rotation that its life changes, and those that are set once. `rotationValues` and `fixedValues` follow their order. */
export const rotationColumns = [
  'mode',
  'state',
  'hold',
  'epoch',
  'attempts',
  'quarantined',
  'wake_at',
  'error',
  'wish',
  'approved',
  'number',
  'base',
  'version',
  'grace_until',
  'outcome',
  'state_at',
  'finished_at',
  'op',
  'strategy',
  'trigger_kind',
  'reason',
  'grace_override_ms',
  'idempotency_key',
  'started_at',
] as const

export function rotationValues(rotation: Rotation): readonly SqlValue[] {
  return [
    rotation.mode,
    rotation.state,
    jsonOrNull(rotation.hold),
    rotation.epoch,
    rotation.attempts,
    rotation.quarantined,
    ms(rotation.wakeAt),
    jsonOrNull(rotation.error),
    rotation.wish,
    rotation.approved ? 1 : 0,
    rotation.number,
    jsonOrNull(rotation.base),
    rotation.version,
    ms(rotation.graceUntil),
    JSON.stringify(rotation.outcome),
    ms(rotation.stateAt),
    ms(rotation.finishedAt),
    rotation.op,
    rotation.strategy,
    rotation.trigger,
    rotation.reason,
    rotation.graceOverrideMs,
    rotation.idempotencyKey,
    ms(rotation.startedAt),
  ]
}

/** A rotation from a row of `rotations` with the secret's name as `secret`. */
export function toRotation(row: Row): Rotation {
  const rotation = {
    id: text(row, 'id'),
    op: textOrNull(row, 'op'),
    secretId: text(row, 'secret_id'),
    secret: text(row, 'secret'),
    strategy: text(row, 'strategy'),
    trigger: text(row, 'trigger_kind'),
    mode: text(row, 'mode'),
    reason: text(row, 'reason'),
    graceOverrideMs: integerOrNull(row, 'grace_override_ms'),
    state: text(row, 'state'),
    hold: row.hold === null ? null : json(row, 'hold'),
    epoch: integer(row, 'epoch'),
    attempts: integer(row, 'attempts'),
    quarantined: integer(row, 'quarantined'),
    wakeAt: timeOrNull(row, 'wake_at'),
    error: row.error === null ? null : json(row, 'error'),
    wish: textOrNull(row, 'wish'),
    approved: integer(row, 'approved') === 1,
    number: integerOrNull(row, 'number'),
    base: row.base === null ? null : json(row, 'base'),
    version: textOrNull(row, 'version'),
    idempotencyKey: text(row, 'idempotency_key'),
    graceUntil: timeOrNull(row, 'grace_until'),
    outcome: json(row, 'outcome'),
    startedAt: time(row, 'started_at'),
    stateAt: time(row, 'state_at'),
    finishedAt: timeOrNull(row, 'finished_at'),
  }
  // words and structures were written from a Rotation, and the ledger alone writes this table
  return rotation as Rotation
}

export const versionColumns =
  'secret_id, number, version, label, status, fate, kek_id, payload, wrap, sealed_as, rotation, created_at, superseded_at, grace_until, revoked_at'

export function versionValues(row: LedgerVersion): readonly SqlValue[] {
  return [
    row.secretId,
    row.number,
    row.version,
    row.label,
    row.status,
    row.fate,
    ...sealedColumns(row.sealed),
    row.sealedAs,
    row.rotation,
    ms(row.createdAt),
    ms(row.supersededAt),
    ms(row.graceUntil),
    ms(row.revokedAt),
  ]
}

export function toVersion(row: Row): LedgerVersion {
  const version = {
    secretId: text(row, 'secret_id'),
    number: integer(row, 'number'),
    version: textOrNull(row, 'version'),
    label: textOrNull(row, 'label'),
    status: textOrNull(row, 'status'),
    fate: textOrNull(row, 'fate'),
    sealed: sealedOrNull(row),
    sealedAs: textOrNull(row, 'sealed_as'),
    rotation: textOrNull(row, 'rotation'),
    createdAt: time(row, 'created_at'),
    supersededAt: timeOrNull(row, 'superseded_at'),
    graceUntil: timeOrNull(row, 'grace_until'),
    revokedAt: timeOrNull(row, 'revoked_at'),
  }
  // as above: the words were written from a LedgerVersion, and the table checks them
  return version as LedgerVersion
}

export function toRevocation(row: Row): Revocation {
  const revocation = {
    secretId: text(row, 'secret_id'),
    number: integer(row, 'number'),
    rotation: text(row, 'rotation'),
    dueAt: time(row, 'due_at'),
    state: text(row, 'state'),
  }
  // as above
  return revocation as Revocation
}

function jsonOrNull(value: object | null): string | null {
  return value === null ? null : JSON.stringify(value)
}
