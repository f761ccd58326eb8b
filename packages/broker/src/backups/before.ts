import type { AuditEvent } from '@keyturn/audit'
import type { BackedUpAct, Config } from '@keyturn/config'
import { BrokerError, type Clock } from '@keyturn/core'
import type { Logger } from 'pino'
import { sealingKinds } from '../compose.ts'
import type { Bundles } from './bundles.ts'

/** What a backup before an act needs. */
export interface BeforeParts {
  readonly bundles: Pick<Bundles, 'create'>
  readonly config: Pick<Config, 'broker' | 'stores'>
  readonly audit: { append(event: AuditEvent): Promise<void> }
  readonly clock: Clock
  readonly log: Pick<Logger, 'info'>
  readonly requestId: () => string
}

const words: Readonly<Record<BackedUpAct, string>> = {
  rewrap: 're-wrap of everything',
  reencrypt: 're-encryption of everything',
  rotate: 'rotation of several secrets',
}

/**
 * Makes the backup that an act may only begin after, if the config says so and there is a sealed store. When it cannot be made the act is refused with
 * the code of what failed. The bundle is on the disk, registered and in the audit when it resolves.
 */
export async function backUpBefore(
  parts: BeforeParts,
  act: BackedUpAct,
  wish: { readonly principal: string; readonly reason: string },
): Promise<void> {
  const { bundles, config, audit, requestId } = parts
  if (!config.broker.backups.before.includes(act)) return
  if (![...config.stores.values()].some(({ kind }) => sealingKinds.has(kind))) return
  const event = { principal: wish.principal, action: 'admin', secret: null, version: null, requestId: requestId(), source: null }
  try {
    const { id, versions } = await bundles.create({ reason: `before a ${words[act]}${wish.reason === '' ? '' : `: ${wish.reason}`}` })
    await audit.append({ ...event, field: id, outcome: 'allowed', code: null })
    parts.log.info({ backup: id, versions, act }, 'backed up')
  } catch (cause) {
    if (!(cause instanceof BrokerError)) throw cause
    await audit.append({ ...event, field: 'backup', outcome: 'failed', code: cause.code })
    const { code, message, hint, detail } = cause
    throw new BrokerError(code, `the ${words[act]} was not begun, because no backup could be made before it: ${message}`, {
      ...(hint === undefined ? {} : { hint }),
      ...(detail === undefined ? {} : { detail }),
      cause,
    })
  }
}
