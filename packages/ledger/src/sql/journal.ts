import {
  type Change,
  isOver,
  isPromoted,
  type Journal,
  type Lease,
  type LedgerVersion,
  type Random,
  type Revocation,
  type Rotation,
  type RotationEvent,
  type RotationId,
  type RotationRequest,
  type Sealed,
  type SecretId,
  type Wish,
} from '@keyturn/core'
import { integer, ms, type Sql, type Transaction } from '@keyturn/sql'
import { newRotationId } from '../identifier.ts'
import { leaseLost, notDue, rotationOpen, writeOpen } from '../rules/refusal.ts'
import { approved, compromised, entered, graceOf, handedOver, mustAwaitValue, started, stepped, wished } from '../rules/rotation.ts'
import { blank, patchedRevocations, patchedVersions } from '../rules/version.ts'
import {
  findRotation,
  type HeldRotation,
  insertRotation,
  lockDue,
  lockOpen,
  lockRotation,
  lockSecret,
  revocationsAround,
  saveRevocations,
  saveRotation,
  saveVersions,
  takeNumber,
  versionsAround,
  versionsOf,
} from './journal-rows.ts'
import { toRevocation } from './rotation-row.ts'

/** The journal in a database: what a change means is decided by the rules, who may make it by the row's epoch and lease. */
export class SqlJournal implements Journal {
  readonly #sql: Sql
  readonly #random: Random

  constructor(sql: Sql, random: Random) {
    this.#sql = sql
    this.#random = random
  }

  open(request: RotationRequest): Promise<Rotation> {
    return this.#sql.transaction(async tx => {
      const now = new Date(tx.now)
      const { secretId, mode } = request
      const secret = await lockSecret(tx, secretId)
      const held = await lockOpen(tx, secretId)
      if (held !== null) {
        if (mode !== 'compromise') throw rotationOpen(held.rotation, graceOf(held.rotation, await versionsOf(tx, secretId)), now)
        if (!isPromoted(held.rotation.state)) return wake(tx, held, compromised(held.rotation, request, now))
      }
      if (request.dueAt !== undefined && !(await isDueAt(tx, secretId, request.dueAt))) throw notDue(secret)
      const [write] = await tx.rows('select number from writes where secret_id = $1', [secretId])
      if (write !== undefined && mode !== 'compromise') throw writeOpen(secret, integer(write, 'number'))
      const rotation = started({ ...request, secret }, newRotationId(this.#random), this.#random.uuid(), now)
      // closed first: one open rotation a secret, at every statement
      if (held !== null) await saveRotation(tx, { rotation: handedOver(held.rotation, now), lease: null, woken: false })
      await insertRotation(tx, rotation)
      if (held !== null) await takeOver(tx, held.rotation, rotation)
      return rotation
    })
  }

  claim(options: { readonly holder: string; readonly leaseMs: number; readonly rotation?: RotationId }): Promise<Lease | null> {
    const { holder, leaseMs } = options
    return this.#sql.transaction(async tx => {
      const due = await lockDue(tx, options.rotation ?? null)
      if (due === null) return null
      const rotation = { ...due.rotation, epoch: due.rotation.epoch + 1 }
      const until = tx.now + leaseMs
      await saveRotation(tx, { rotation, lease: { holder, until }, woken: false })
      return { rotation, holder, leaseMs, until: new Date(until), now: new Date(tx.now), abandoned: due.lease !== null }
    })
  }

  record(lease: Lease, change: Change): Promise<Lease> {
    return this.#sql.transaction(async tx => {
      const now = new Date(tx.now)
      const { secretId } = lease.rotation
      await lockSecret(tx, secretId)
      const held = await lockHeld(tx, lease)
      const rotation = stepped(held.rotation, change.rotation ?? {}, now, held.woken)
      await this.#recordVersions(tx, rotation, change)
      await tell(tx, rotation, change.events ?? [])
      if (change.nextRotationAt !== undefined) {
        await tx.change('update secrets set next_rotation_at = $2 where id = $1', [secretId, ms(change.nextRotationAt)])
      }
      const frees = isOver(rotation.state) || change.release === true
      const until = frees ? tx.now : tx.now + lease.leaseMs
      await saveRotation(tx, { rotation, lease: frees ? null : { holder: lease.holder, until }, woken: false })
      return { ...lease, rotation, until: new Date(until), now }
    })
  }

  async #recordVersions(tx: Transaction, rotation: Rotation, { versions = [], revocations = [] }: Change): Promise<void> {
    const { secretId } = rotation
    if (versions.length > 0) {
      const before = await versionsAround(tx, secretId, numbersOf(versions))
      await saveVersions(tx, patchedVersions(secretId, before, versions, new Date(tx.now)))
    }
    if (revocations.length > 0) {
      const numbers = numbersOf(revocations)
      const known = await versionsAround(tx, secretId, numbers)
      await saveRevocations(tx, patchedRevocations(rotation, await revocationsAround(tx, secretId, numbers), revocations, known))
    }
  }

  reserve(lease: Lease): Promise<number> {
    return this.#sql.transaction(async tx => {
      await lockSecret(tx, lease.rotation.secretId)
      await lockHeld(tx, lease)
      return takeNumber(tx, lease.rotation.secretId)
    })
  }

  wish(id: RotationId, wish: Wish | null): Promise<Rotation> {
    return this.#sql.transaction(async tx => {
      const held = await lockRotation(tx, id)
      const { base, secretId } = held.rotation
      const version =
        base === null ? undefined : (await versionsAround(tx, secretId, [base.number])).find(row => row.number === base.number)
      return wake(tx, held, wished(held.rotation, wish, version ?? null, new Date(tx.now)))
    })
  }

  enter(id: RotationId, seal: (number: number) => Sealed): Promise<Rotation> {
    return this.#sql.transaction(async tx => {
      const now = new Date(tx.now)
      const { secretId } = await findRotation(tx, id)
      await lockSecret(tx, secretId)
      const held = await lockRotation(tx, id)
      mustAwaitValue(held.rotation)
      const number = await takeNumber(tx, secretId)
      const row = { ...blank(secretId, number, now), label: 'pending', sealed: seal(number), sealedAs: 'pending', rotation: id } as const
      await saveVersions(tx, patchedVersions(secretId, await versionsAround(tx, secretId, []), [row], now))
      return wake(tx, held, entered(held.rotation, number, now))
    })
  }

  approve(id: RotationId): Promise<Rotation> {
    return this.#sql.transaction(async tx => {
      const held = await lockRotation(tx, id)
      return wake(tx, held, approved(held.rotation, new Date(tx.now)))
    })
  }

  rotation(id: RotationId): Promise<Rotation> {
    return this.#sql.transaction(tx => findRotation(tx, id))
  }

  versions(secretId: SecretId): Promise<readonly LedgerVersion[]> {
    return this.#sql.transaction(tx => versionsOf(tx, secretId))
  }

  revocations(rotation: RotationId): Promise<readonly Revocation[]> {
    return this.#sql.transaction(async tx => {
      await findRotation(tx, rotation)
      return (await tx.rows('select * from revocations where rotation = $1 order by number', [rotation])).map(toRevocation)
    })
  }

  undelivered(rotation: RotationId): Promise<number> {
    return this.#sql.transaction(async tx => {
      const [row] = await tx.rows('select count(*) as events from outbox where rotation = $1', [rotation])
      return row === undefined ? 0 : integer(row, 'events')
    })
  }
}

const numbersOf = (rows: readonly { readonly number: number }[]): readonly number[] => rows.map(({ number }) => number)

/** The row under its lock, if this lease still counts. Judged by the clock at the transaction's start and the row as it is now. */
async function lockHeld(tx: Transaction, lease: Lease): Promise<HeldRotation> {
  const { id, epoch } = lease.rotation
  const held = await lockRotation(tx, id)
  if (held.lease === null || held.rotation.epoch !== epoch || held.lease.until <= tx.now) throw leaseLost(id, epoch)
  return held
}

async function wake(tx: Transaction, held: HeldRotation, rotation: Rotation): Promise<Rotation> {
  await saveRotation(tx, { ...held, rotation, woken: true })
  return rotation
}

async function takeOver(tx: Transaction, former: Rotation, next: Rotation): Promise<void> {
  const taken = "select number from revocations where rotation = $1 and state in ('pending', 'done')"
  await tx.change(`update versions set grace_until = $2 where secret_id = $3 and grace_until > $2 and number in (${taken})`, [
    former.id,
    tx.now,
    former.secretId,
  ])
  await tx.change("update revocations set rotation = $2, due_at = $3 where rotation = $1 and state in ('pending', 'done')", [
    former.id,
    next.id,
    tx.now,
  ])
}

async function tell(tx: Transaction, rotation: Rotation, events: readonly RotationEvent[]): Promise<void> {
  for (const { action, outcome, version, code } of events) {
    await tx.change('insert into outbox (at, secret, rotation, action, outcome, version, code) values ($1, $2, $3, $4, $5, $6, $7)', [
      tx.now,
      rotation.secret,
      rotation.id,
      action,
      outcome,
      version,
      code,
    ])
  }
}

async function isDueAt(tx: Transaction, id: SecretId, at: Date): Promise<boolean> {
  return (await tx.rows('select 1 from secrets where id = $1 and next_rotation_at = $2', [id, ms(at)])).length > 0
}
