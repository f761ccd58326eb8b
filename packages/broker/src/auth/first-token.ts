import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { adminRole } from '@keyturn/policy'
import type { Broker } from '../broker.ts'
import { writePrivate } from '../private-file.ts'
import { issueToken } from './issue.ts'

/** Where the first admin token is left, in the data folder. */
export const tokenFile = 'admin.token'

/** At the first start there is nobody who could make a token: one of the role `admin` is made and left in the data folder, for its owner alone. Answers where. */
export async function firstToken(broker: Broker, data: string): Promise<string> {
  const path = join(data, tokenFile)
  const tokens = await broker.ledger.tokens.list()
  // a process that died between the ledger and the file left a token that nobody has
  const lost = tokens.every(row => row.name === adminRole) && !existsSync(path)
  if (tokens.length > 0 && !lost) return path
  const { token } = await issueToken(broker, { role: adminRole, ttlMs: null, name: adminRole })
  writePrivate(data, tokenFile, token)
  return path
}
