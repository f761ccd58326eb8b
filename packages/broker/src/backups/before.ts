import type { AuditEvent } from '@keyturn/audit'
import type { BackedUpAct, Config } from '@keyturn/config'
import { BrokerError, type OperationId } from '@keyturn/core'
import type { Ledger } from '@keyturn/ledger'
import type { Logger } from 'pino'
import { sealingKinds } from '../compose.ts'
import { bundleIdOf } from './bundle-writer.ts'
import type { Bundles } from './bundles.ts'

/** What a backup before an act needs. */
export interface BeforeParts {
  readonly bundles: Pick<Bundles, 'create'>
  readonly config: Pick<Config, 'broker' | 'stores'>
  readonly audit: { append(event: AuditEvent): Promise<void> }
  readonly log: Pick<Logger, 'info'>
  readonly requestId: () => string
}

const words: Readonly<Record<BackedUpAct, string>> = {
  rewrap: 're-wrap of everything',
  reencrypt: 're-encryption of everything',
  rotate: 'rotation of several secrets',
}

/** Whether an act begins after a backup: the config says so, and there is a sealed store. */
export function needsBackup({ broker, stores }: BeforeParts['config'], act: BackedUpAct): boolean {
  return broker.backups.before.includes(act) && [...stores.values()].some(({ kind }) => sealingKinds.has(kind))
}

/** Whether the backup that an operation begins after is registered. */
export async function isBackedUp({ backups }: Pick<Ledger, 'backups'>, op: OperationId): Promise<boolean> {
  const id = bundleIdOf(op)
  return (await backups.all()).some(backup => backup.id === id)
}

/** Who wants the act, and why. */
interface ActWish {
  readonly principal: string
  readonly reason: string
  /** The operation that is to begin: its backup is made once. Left out: it is not known yet. */
  readonly op?: OperationId
  readonly signal?: AbortSignal
}

/**
 * Makes the backup that an act begins after. The bundle is on the disk, registered and in the audit when it resolves. When it cannot be made, that is
 * recorded, and the act may not begin: thrown with the code of what failed. What `signal` ends is thrown as it is.
 */
export async function makeBackup(parts: BeforeParts, act: BackedUpAct, { principal, reason, op, signal }: ActWish): Promise<void> {
  const { bundles, audit, requestId } = parts
  const event = { principal, action: 'admin', secret: null, version: null, requestId: op ?? requestId(), source: null }
  const wish = { reason: `before a ${words[act]}${reason === '' ? '' : `: ${reason}`}` }
  try {
    const { id, versions } = await bundles.create({
      ...wish,
      ...(op === undefined ? {} : { id: bundleIdOf(op) }),
      ...(signal === undefined ? {} : { signal }),
    })
    await audit.append({ ...event, field: id, outcome: 'allowed', code: null })
    parts.log.info({ backup: id, versions, act }, 'backed up')
  } catch (cause) {
    if (!(cause instanceof BrokerError) || cause.code === 'cancelled') throw cause
    await audit.append({ ...event, field: 'backup', outcome: 'failed', code: cause.code })
    const { code, message, hint, detail } = cause
    throw new BrokerError(code, `the ${words[act]} was not begun, because no backup could be made before it: ${message}`, {
      ...(hint === undefined ? {} : { hint }),
      ...(detail === undefined ? {} : { detail }),
      cause,
    })
  }
}
