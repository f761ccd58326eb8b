import {
  type Change,
  isOver,
  isPromoted,
  type Journal,
  type Lease,
  type LedgerVersion,
  type Revocation,
  type Rotation,
  type RotationEvent,
  type RotationId,
  type RotationRequest,
  type Sealed,
  type SecretId,
  type Wish,
} from '@keyturn/core'
import { newRotationId } from '../identifier.ts'
import { copy } from '../rules/copy.ts'
import { leaseLost, notDue, rotationOpen, writeOpen } from '../rules/refusal.ts'
import { approved, compromised, entered, graceOf, handedOver, mustAwaitValue, started, stepped, wished } from '../rules/rotation.ts'
import { blank, patchedRevocations, patchedVersions } from '../rules/version.ts'
import type { HeldRotation, MemoryState } from './state.ts'

/** The journal in memory. Each method runs in one turn of the event loop, so each is one transaction. */
export class MemoryJournal implements Journal {
  readonly #state: MemoryState

  constructor(state: MemoryState) {
    this.#state = state
  }

  async open(given: RotationRequest): Promise<Rotation> {
    const state = this.#state
    const request = copy(given)
    const now = state.clock.now()
    const secret = state.secret(request.secretId)
    const held = state.openOf(secret.id)
    if (held !== null) {
      if (request.mode !== 'compromise') throw rotationOpen(held.rotation, graceOf(held.rotation, state.versionsOf(secret.id)), now)
      if (!isPromoted(held.rotation.state)) return this.#wake(held, compromised(held.rotation, request, now))
    }
    if (request.dueAt !== undefined && secret.nextRotationAt?.getTime() !== request.dueAt.getTime()) throw notDue(secret.name)
    const write = state.writes.get(secret.id)
    if (write !== undefined && request.mode !== 'compromise') throw writeOpen(secret.name, write.intent.number)
    const rotation = started({ ...request, secret: secret.name }, newRotationId(state.random), state.random.uuid(), now)
    if (held !== null) this.#takeOver(held.rotation, rotation, now)
    state.rotations.set(rotation.id, { rotation, lease: null, woken: false })
    state.open.set(secret.id, rotation.id)
    state.putSecret(secret.id, { rotation: rotation.id })
    return copy(rotation)
  }

  #takeOver(former: Rotation, next: Rotation, now: Date): void {
    const state = this.#state
    const taken = state
      .revocationsOf(former.secretId)
      .filter(row => row.rotation === former.id && (row.state === 'pending' || row.state === 'done'))
    state.putRevocations(
      former.secretId,
      taken.map(row => ({ ...row, rotation: next.id, dueAt: now })),
    )
    const ended = state
      .versionsOf(former.secretId)
      .filter(row => taken.some(({ number }) => number === row.number) && row.graceUntil !== null && row.graceUntil > now)
    state.putVersions(
      former.secretId,
      ended.map(row => ({ ...row, graceUntil: now })),
    )
    state.rotations.set(former.id, { rotation: handedOver(former, now), lease: null, woken: false })
  }

  async claim(options: { readonly holder: string; readonly leaseMs: number; readonly rotation?: RotationId }): Promise<Lease | null> {
    const state = this.#state
    const now = state.clock.now()
    const due = [...state.open.values()]
      .filter(id => options.rotation === undefined || options.rotation === id)
      .map(id => state.held(id))
      .filter(({ rotation, lease }) => rotation.wakeAt !== null && rotation.wakeAt <= now && (lease === null || lease.until <= now))
      .sort((a, b) => Number(a.rotation.wakeAt) - Number(b.rotation.wakeAt) || (a.rotation.id < b.rotation.id ? -1 : 1))[0]
    if (due === undefined) return null
    const { holder, leaseMs } = options
    const rotation = { ...due.rotation, epoch: due.rotation.epoch + 1 }
    const until = new Date(now.getTime() + leaseMs)
    state.rotations.set(rotation.id, { rotation, lease: { holder, until }, woken: false })
    return copy({ rotation, holder, leaseMs, until, now, abandoned: due.lease !== null })
  }

  async record(lease: Lease, given: Change): Promise<Lease> {
    const state = this.#state
    const change = copy(given)
    const now = state.clock.now()
    const held = this.#mustHold(lease, now)
    const rotation = stepped(held.rotation, change.rotation ?? {}, now, held.woken)
    const { secretId } = rotation
    const versions = patchedVersions(secretId, state.versionsOf(secretId), change.versions ?? [], now)
    const known = [...state.versionsOf(secretId), ...versions]
    const revocations = patchedRevocations(rotation, state.revocationsOf(secretId), change.revocations ?? [], known)

    state.putVersions(secretId, versions)
    state.putRevocations(secretId, revocations)
    this.#tell(rotation, change.events ?? [], now)
    if (change.nextRotationAt !== undefined) state.putSecret(secretId, { nextRotationAt: change.nextRotationAt })
    const over = isOver(rotation.state)
    if (over) state.open.delete(secretId)
    const frees = over || change.release === true
    const until = frees ? now : new Date(now.getTime() + lease.leaseMs)
    state.rotations.set(rotation.id, { rotation, lease: frees ? null : { holder: lease.holder, until }, woken: false })
    return copy({ ...lease, rotation, until, now })
  }

  #tell(rotation: Rotation, events: readonly RotationEvent[], at: Date): void {
    const state = this.#state
    for (const { action, outcome, version, code } of events) {
      state.lastEvent += 1
      const id = state.lastEvent
      state.outbox.set(id, { id, at, secret: rotation.secret, rotation: rotation.id, action, outcome, version, code })
    }
  }

  async reserve(lease: Lease): Promise<number> {
    const { rotation } = this.#mustHold(lease, this.#state.clock.now())
    return this.#nextNumber(rotation.secretId)
  }

  async wish(id: RotationId, wish: Wish | null): Promise<Rotation> {
    const held = this.#state.held(id)
    const { secretId, base } = held.rotation
    const version = base === null ? null : (this.#state.versions.get(secretId)?.get(base.number) ?? null)
    return this.#wake(held, wished(held.rotation, wish, version, this.#state.clock.now()))
  }

  async enter(id: RotationId, seal: (number: number) => Sealed): Promise<Rotation> {
    const state = this.#state
    const now = state.clock.now()
    const held = state.held(id)
    mustAwaitValue(held.rotation)
    const { secretId } = held.rotation
    const number = state.secret(secretId).nextNumber
    const row = {
      ...blank(secretId, number, now),
      label: 'pending',
      sealed: copy(seal(number)),
      sealedAs: 'pending',
      rotation: id,
    } as const
    const versions = patchedVersions(secretId, state.versionsOf(secretId), [row], now)
    state.putVersions(secretId, versions)
    return this.#wake(held, entered(held.rotation, number, now))
  }

  async approve(id: RotationId): Promise<Rotation> {
    const held = this.#state.held(id)
    return this.#wake(held, approved(held.rotation, this.#state.clock.now()))
  }

  async rotation(id: RotationId): Promise<Rotation> {
    return copy(this.#state.held(id).rotation)
  }

  async versions(secretId: SecretId): Promise<readonly LedgerVersion[]> {
    return copy(this.#state.versionsOf(secretId))
  }

  async revocations(rotation: RotationId): Promise<readonly Revocation[]> {
    const { secretId } = this.#state.held(rotation).rotation
    return copy(this.#state.revocationsOf(secretId).filter(row => row.rotation === rotation))
  }

  async undelivered(rotation: RotationId): Promise<number> {
    return [...this.#state.outbox.values()].filter(row => row.rotation === rotation).length
  }

  #wake(held: HeldRotation, rotation: Rotation): Rotation {
    this.#state.rotations.set(rotation.id, { ...held, rotation, woken: true })
    return copy(rotation)
  }

  #mustHold(lease: Lease, now: Date): HeldRotation {
    const { id, epoch } = lease.rotation
    const held = this.#state.rotations.get(id)
    if (held === undefined || held.lease === null || held.rotation.epoch !== epoch || held.lease.until <= now) throw leaseLost(id, epoch)
    return held
  }

  #nextNumber(secretId: SecretId): number {
    const { nextNumber } = this.#state.secret(secretId)
    this.#state.putSecret(secretId, { nextNumber: nextNumber + 1 })
    return nextNumber
  }
}
