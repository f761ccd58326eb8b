import { BrokerError, type StoreAdapter } from '@keyturn/core'

/** Opens a section of kind `azure`. */
export async function open(): Promise<StoreAdapter> {
  throw new BrokerError('unsupported', 'not built yet')
}
