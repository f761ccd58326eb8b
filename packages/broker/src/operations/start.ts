import { BrokerError, type OperationId, type Rotation, type SecretId } from '@keyturn/core'
import type { Broker } from '../broker.ts'
import type { Entry } from '../catalog.ts'
import { named } from '../exchange.ts'

/** How somebody, or the schedule, wants secrets rotated. */
export interface RotateWish {
  readonly reason: string
  readonly mode: 'normal' | 'compromise'
  readonly graceOverrideMs: number | null
  readonly trigger: Rotation['trigger']
  /** Of the schedule: the due time that it stands for. */
  readonly dueAt?: Date
}

/** Why this build or this config never rotates a secret; undefined when it does. */
export function neverRotated(entry: Entry): BrokerError | undefined {
  const { strategy, built, managed, type, row } = entry.config
  if (strategy !== null && built) return undefined
  if (strategy !== null) {
    return new BrokerError('unsupported', `strategy ${strategy} is not built`, {
      hint: 'nothing was touched; keyturn check lists what this build can do',
    })
  }
  if (managed !== null) return new BrokerError('unsupported', `it is rotated by ${managed}`, { hint: `rotate it with ${managed}` })
  if (!row) {
    return new BrokerError('unsupported', `${entry.name} has no row in the config, and is never rotated here`, {
      hint: 'give it one under secrets: with a type, or a strategy',
    })
  }
  return new BrokerError('unsupported', `a ${type} secret is never rotated here`, { hint: 'give its row a type that is, or a strategy' })
}

/** Checks what can be known before anything is written, and opens the rotation. Errors: `unsupported`, `invalid_argument`, `conflict`. */
export async function openRotation(
  broker: Broker,
  entry: Entry,
  id: SecretId,
  wish: RotateWish,
  op: OperationId | null,
): Promise<Rotation> {
  const never = neverRotated(entry)
  if (never !== undefined) throw never
  mustLengthen(entry, wish.graceOverrideMs)
  const { strategy, approval } = entry.config
  if (strategy === null) throw new BrokerError('internal', 'a secret without a strategy got as far as a rotation')
  const rotation = await broker.journal.open({
    secretId: id,
    secret: entry.name,
    strategy,
    trigger: wish.trigger,
    mode: wish.mode,
    reason: wish.reason,
    graceOverrideMs: wish.graceOverrideMs,
    op,
    ...(wish.dueAt === undefined ? {} : { dueAt: wish.dueAt }),
    // a first version takes nothing from anybody
    approved: !approval || wish.trigger === 'first',
  })
  broker.wake()
  return rotation
}

function mustLengthen(entry: Entry, overrideMs: number | null): void {
  if (overrideMs === null || overrideMs >= entry.config.grace.ms) return
  throw new BrokerError(
    'invalid_argument',
    `a grace may only be lengthened, and that of ${entry.name} is ${entry.config.grace.ms / 1000} s`,
    {
      hint: 'leave grace_override out; to end the old version at once, use mode compromise',
    },
  )
}

/** Starts one rotation as an operation of its own. What refuses it is thrown and stands in the operation too. */
export async function rotateOne(broker: Broker, entry: Entry, principal: string, wish: RotateWish): Promise<OperationId> {
  const never = neverRotated(entry)
  if (never !== undefined) throw never
  mustLengthen(entry, wish.graceOverrideMs)
  const { id } = await broker.ledger.secrets.ensure(entry.name)
  const op = await broker.ledger.operations.create({ kind: 'rotate', principal, reason: wish.reason })
  const error = await startItem(broker, op, entry, id, wish)
  if (error !== undefined) throw error
  return op
}

/** Starts many as one operation. One that is refused stands in it with its error, and stops no other. */
export async function rotateMany(broker: Broker, entries: readonly Entry[], principal: string, wish: RotateWish): Promise<OperationId> {
  const op = await broker.ledger.operations.create({ kind: 'rotate', principal, reason: wish.reason })
  for (const entry of entries) {
    const { id } = await broker.ledger.secrets.ensure(entry.name)
    await startItem(broker, op, entry, id, wish)
  }
  return op
}

async function startItem(broker: Broker, op: OperationId, entry: Entry, id: SecretId, wish: RotateWish): Promise<BrokerError | undefined> {
  try {
    const rotation = await openRotation(broker, entry, id, wish, op)
    await broker.ledger.operations.add(op, { secretId: id, rotation: rotation.id, error: null })
    return undefined
  } catch (thrown) {
    const error = named(thrown)
    const { code, message } = error
    await broker.ledger.operations.add(op, { secretId: id, rotation: null, error: { code, message } })
    return error
  }
}
