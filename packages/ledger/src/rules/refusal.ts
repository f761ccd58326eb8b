import { BrokerError, isPromoted, type Rotation, type RotationId, type SecretId, type SecretName } from '@keyturn/core'

/** The lease or the epoch is gone: the holder must stop at once. */
export function leaseLost(id: RotationId, epoch: number): BrokerError {
  return new BrokerError('conflict', `the lease on rotation ${id} is not held any more (epoch ${epoch})`, {
    detail: { rotation: id, epoch },
  })
}

/** Another rotation of the secret is open. In grace the caller learns when it may come back. */
export function rotationOpen(open: Rotation, graceUntil: Date | null, now: Date): BrokerError {
  const detail = { rotation: open.id, op: open.op, state: open.state }
  const message = `a rotation of ${open.secret} is open (${open.state})`
  if (!isPromoted(open.state) || graceUntil === null || graceUntil <= now) return new BrokerError('conflict', message, { detail })
  return new BrokerError('conflict', `${message}: readers were promised the previous version until ${graceUntil.toISOString()}`, {
    detail: { ...detail, earliest: graceUntil },
    retryAfterMs: graceUntil.getTime() - now.getTime(),
    hint: 'wait for the end of the grace, or rotate with --compromise to end it now',
  })
}

/** Somebody else has rotated or scheduled it since it was looked at. */
export function notDue(secret: SecretName): BrokerError {
  return new BrokerError('conflict', `${secret} is not due any more`)
}

/** A write through the broker has begun and not ended. It ends within moments, or is settled when the store can be asked. */
export function writeOpen(secret: SecretName, number: number): BrokerError {
  return new BrokerError('conflict', `a write of ${secret} has not ended yet`, { detail: { write: number }, retryAfterMs: 1_000 })
}

export function writeEnded(number: number): BrokerError {
  return new BrokerError('conflict', `the write of version ${number} has ended already, and otherwise`, { detail: { write: number } })
}

export function notInState(rotation: Rotation, what: string): BrokerError {
  return new BrokerError('conflict', `rotation ${rotation.id} is ${rotation.state}: ${what}`, {
    detail: { rotation: rotation.id, op: rotation.op, state: rotation.state },
  })
}

export const noRotation = (id: RotationId): BrokerError => new BrokerError('not_found', `no rotation ${id} in the ledger`)
export const noSecret = (id: SecretId): BrokerError => new BrokerError('not_found', `no secret ${id} in the ledger`)
export const noToken = (id: string): BrokerError => new BrokerError('not_found', `no token ${id} in the ledger`)

/** A change that contradicts the ledger's own rules: a fault of the caller's code, never of its data. */
export const broken = (rule: string): BrokerError => new BrokerError('internal', `refused by the ledger: ${rule}`)
export const kekRetired = (id: string): BrokerError =>
  new BrokerError('precondition_failed', `the KEK ${id} is retired: nothing is closed with it any more`, { detail: { kek: id } })
