import { createSecretKey } from 'node:crypto'
import type { Config } from '@keyturn/config'
import type { Clock, Random } from '@keyturn/core'
import { type MigratedSchema, migrateLedger } from '@keyturn/ledger'
import { systemClock } from './clock.ts'
import { migrateSealed, sealingKinds } from './compose.ts'
import { makePrivateFolder } from './private-file.ts'
import { pooledRandom } from './random.ts'

/** A database of a deployment, by the name of its section; the ledger is `ledger`. */
export type MigratedDatabase = MigratedSchema & { readonly name: string }

/**
 * Brings the schemas of the ledger and of every sealed store up to date, and does nothing else: no key is read, no value opened. Needs roles that own the
 * schemas; an embedded file must not be in use.
 */
export async function migrateDatabases(
  { broker: { data, ledger: url }, environment, stores }: Config,
  { clock = systemClock, random = pooledRandom() }: { readonly clock?: Clock; readonly random?: Random } = {},
): Promise<readonly MigratedDatabase[]> {
  const production = environment === 'production'
  makePrivateFolder(data)
  const done: MigratedDatabase[] = []
  done.push({ name: 'ledger', ...(await migrateLedger({ data, clock, random, production, ...(url === null ? {} : { url }) })) })
  // no etag is made: a schema has none
  const context = { clock, random, data, production, etagKey: createSecretKey(Buffer.from(random.bytes(32))) }
  for (const section of stores.values()) {
    if (sealingKinds.has(section.kind)) done.push({ name: section.name, ...(await migrateSealed({ ...section, paths: [] }, context)) })
  }
  return done
}
