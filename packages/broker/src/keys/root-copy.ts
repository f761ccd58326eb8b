import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { BrokerError, type Sealed } from '@keyturn/core'
import { writePrivate } from '../private-file.ts'

const file = 'root.json'

/** The sealed root secret beside the ledger, and what it is bound to. */
export interface RootCopy {
  /** The id of the ledger it belongs to. */
  readonly ledger: string
  readonly sealed: Sealed
}

/**
 * Leaves the sealed root secret in the data folder too: a running broker holds its ledger alone, and the audit chain must be verifiable all the same.
 * It is worth nothing without the KEK.
 */
export function leaveRootCopy(data: string, { ledger, sealed }: RootCopy): void {
  const { kekId, payload, wrap } = sealed
  const text = JSON.stringify({
    ledger,
    kekId,
    payload: Buffer.from(payload).toString('base64'),
    wrap: Buffer.from(wrap).toString('base64'),
  })
  const path = join(data, file)
  if (existsSync(path) && readFileSync(path, 'utf8') === `${text}\n`) return
  writePrivate(data, file, text)
}

/** Reads it. `not_found` before the first start. */
export function readRootCopy(data: string): RootCopy {
  const path = join(data, file)
  if (!existsSync(path)) throw new BrokerError('not_found', `${path} is missing`, { hint: 'keyturn serve makes it at its first start' })
  // written by `leaveRootCopy`; what is missing is refused below
  const { ledger, kekId, payload, wrap } = JSON.parse(readFileSync(path, 'utf8')) as Readonly<Record<string, string>>
  if (ledger === undefined || kekId === undefined || payload === undefined || wrap === undefined) {
    throw new BrokerError('corrupt', `${path} does not parse`, { hint: 'start the broker: it writes it anew' })
  }
  return { ledger, sealed: { kekId, payload: Buffer.from(payload, 'base64'), wrap: Buffer.from(wrap, 'base64') } }
}
