import { BrokerError } from '@keyturn/core'

export const backupKnown = (id: string): BrokerError => new BrokerError('conflict', `backup ${id} is in the ledger already`)

export function backupChanged(id: string): BrokerError {
  return new BrokerError('conflict', `the backup ${id} is not what was read any more`, { detail: { backup: id } })
}
