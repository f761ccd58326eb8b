import { BrokerError } from '@keyturn/core'

/**
 * What the commands that work on the broker's own files need of it. It is loaded only by them: a command that talks to a
 * running broker must not wait for the adapters.
 */
export type BrokerDoor = Pick<
  typeof import('@keyturn/broker'),
  | 'auditKeys'
  | 'examineBackups'
  | 'examineBroker'
  | 'examineStores'
  | 'kinds'
  | 'makeKeyFile'
  | 'makeOfflineToken'
  | 'migrateDatabases'
  | 'openCopy'
  | 'openRestore'
  | 'promoteKeyFile'
  | 'readConfig'
  | 'serve'
>

/** Loads the broker. `unsupported` when this install has none. */
export async function openDoor(): Promise<BrokerDoor> {
  try {
    return await import('@keyturn/broker')
  } catch (cause) {
    const isMissing = cause instanceof Error && 'code' in cause && cause.code === 'ERR_MODULE_NOT_FOUND'
    if (!isMissing || !cause.message.includes('@keyturn/broker')) throw cause
    throw new BrokerError('unsupported', 'this install has no broker in it, only the command line', {
      hint: 'install @keyturn/broker beside it',
      cause,
    })
  }
}
