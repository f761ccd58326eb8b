import { createSecretKey, randomBytes, randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { wallClock } from '@keyturn/conformance'
import type { OpenContext, StorePath } from '@keyturn/core'
import { Keyring } from '@keyturn/envelope'

export const options = { file: 'secrets.db' }
export const random = { bytes: (count: number) => randomBytes(count), uuid: () => randomUUID() }
export const keks = new Map(['k1', 'k2'].map(id => [id, createSecretKey(randomBytes(32))]))
const etagKey = createSecretKey(Buffer.alloc(32, 'etag'))

/** A keyring of the test's two KEKs, or of some of them; the first is current. */
export function keyringOf(...ids: string[]): Keyring {
  const chosen = ids.length === 0 ? [...keks.keys()] : ids
  return new Keyring({ keks: new Map([...keks].filter(([id]) => chosen.includes(id))), current: chosen[0] ?? 'k1' })
}

/** A folder of one test file, and data folders in it; the files of a store are made by the store. */
export function scratch() {
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-database-'))
  return {
    folder,
    context: (data: string = randomUUID()): OpenContext => ({ clock: wallClock, random, etagKey, data: join(folder, data) }),
    remove: () => rmSync(folder, { recursive: true }),
  }
}

export const fileIn = (context: OpenContext) => join(context.data, options.file)

/** Opens the file of a closed store by plain SQL. */
export function withSql<T>(context: OpenContext, run: (database: DatabaseSync) => T): T {
  const database = new DatabaseSync(fileIn(context))
  try {
    return run(database)
  } finally {
    database.close()
  }
}

export const at = (path: string) => path as StorePath
/** One more intent. */
export const intent = () => ({ idempotencyKey: randomUUID(), signal: new AbortController().signal })
export const call = () => ({ signal: new AbortController().signal })
