/**
 * A broker that opens the ledger and does nothing, with the umask given (octal). It says `open` on stdout, or `refused CODE` and ends.
 *
 * Usage: node --conditions=@keyturn/source holding.ts FOLDER UMASK
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { writeSync } from 'node:fs'
import { BrokerError } from '@keyturn/core'
import { openLedger } from '../src/open.ts'

const [data = '', mask = '022'] = process.argv.slice(2)
process.umask(Number.parseInt(mask, 8))
const random = { bytes: (count: number) => randomBytes(count), uuid: () => randomUUID() }
try {
  const ledger = await openLedger({ data, clock: { now: () => new Date(), after: () => () => {} }, random })
  await ledger.check()
  writeSync(1, 'open\n')
  process.stdin.resume()
} catch (error) {
  writeSync(1, `refused ${error instanceof BrokerError ? error.code : String(error)}\n`)
}
