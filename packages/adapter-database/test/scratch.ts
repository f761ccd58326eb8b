import { createSecretKey, randomBytes, randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { wallClock } from '@keyturn/conformance'
import { type OpenContext, Store, type StorePath } from '@keyturn/core'
import { Keyring } from '@keyturn/envelope'
import { openClient } from '../src/client.ts'
import { open, openOn } from '../src/store.ts'

/** The section without any option. */
export const options = {}
export const random = { bytes: (count: number) => randomBytes(count), uuid: () => randomUUID() }
export const keks = new Map(['k1', 'k2'].map(id => [id, createSecretKey(randomBytes(32))]))
const etagKey = createSecretKey(Buffer.alloc(32, 'etag'))

/** A keyring of the test's two KEKs, or of some of them; the first is current. */
export function keyringOf(...ids: string[]): Keyring {
  const chosen = ids.length === 0 ? [...keks.keys()] : ids
  return new Keyring({ keks: new Map([...keks].filter(([id]) => chosen.includes(id))), current: chosen[0] ?? 'k1' })
}

/** What a broker would hand to a store with this data folder. */
export const scratchContext = (data: string): OpenContext => ({ clock: wallClock, random, etagKey, data })

/** A folder of one test file, data folders in it, and stores in those; `remove` closes and removes them all. */
export function scratch() {
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-database-'))
  const opened: Store[] = []
  const contextIn = (data: string = randomUUID()) => scratchContext(join(folder, data))
  return {
    folder,
    context: contextIn,
    /** A store as the broker holds it; on a data folder of its own unless one is given. */
    async openStore(context = contextIn(), keyring = keyringOf()): Promise<Store> {
      const store = new Store(await open(options, context, { keyring }), { name: 'own', clock: wallClock, timeoutMs: 5000 })
      opened.push(store)
      return store
    },
    /** A new store that does not wait for the disk: for tests of many versions. */
    async openUnsynced(): Promise<Store> {
      const context = contextIn()
      const client = await openClient(options, context)
      await client.sql.rows('pragma synchronous = off')
      const store = new Store(await openOn(client, context, keyringOf()), { name: 'own', clock: wallClock, timeoutMs: 5000 })
      opened.push(store)
      return store
    },
    async remove() {
      await Promise.all(opened.map(store => store.close()))
      rmSync(folder, { recursive: true })
    },
  }
}

export const fileIn = (context: OpenContext) => join(context.data, 'secrets.db')

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

/** Everything an iterable gives. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}
