import { createSecretKey, randomUUID } from 'node:crypto'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SecretValue, StoreAdapter, StorePath } from '@keyturn/core'
import { Keyring } from '@keyturn/envelope'
import { type Client, openClient } from '../../../packages/adapter-database/src/client.ts'
import { openOn } from '../../../packages/adapter-database/src/store.ts'
import { type Backend, contextIn, type Look, type Process, type Shelf } from './backend.ts'

const path = 'app/credential' as StorePath
const beside = 'app/neighbour' as StorePath
const keyring = new Keyring({ keks: new Map([['k1', createSecretKey(Buffer.alloc(32, 1))]]), current: 'k1' })

/** Keyturn's own sealed store on SQLite. There is no wire; a process that dies leaves the file and its log as they stand. */
export const database: Backend = {
  name: 'database',
  async start() {
    const folder = await mkdtemp(join(tmpdir(), 'keyturn-crash-'))
    return new DatabaseShelf(folder)
  },
}

class DatabaseShelf implements Shelf {
  readonly path = path
  readonly form = 'fields'
  readonly #folder: string
  #processes = 0
  /** What the process of this moment holds. */
  #held: { readonly client: Client; readonly adapter: StoreAdapter } | undefined

  constructor(folder: string) {
    this.#folder = folder
  }

  async open(): Promise<Process> {
    const context = contextIn(this.#data)
    const client = await openClient({}, context)
    const adapter = await openOn(client, context, keyring)
    this.#held = { client, adapter }
    return { adapter, kill: () => this.#kill(client) }
  }

  async place(value: SecretValue): Promise<void> {
    if (this.#held !== undefined) return this.#write(this.#held.adapter, path, value)
    const { adapter, kill } = await this.open()
    await this.#write(adapter, beside, value)
    await this.#write(adapter, path, value)
    await kill()
  }

  async #write(adapter: StoreAdapter, to: StorePath, value: SecretValue): Promise<void> {
    await adapter.write(to, value, { signal: new AbortController().signal, idempotencyKey: randomUUID() })
  }

  async look(): Promise<Look> {
    if (this.#held === undefined) throw new Error('nobody has the file open')
    const { client, adapter } = this.#held
    const versions = (of: StorePath) =>
      client.sql.rows(
        'select v.number, v.label, v.disabled, v.intent, hex(v.payload) as payload from versions v join secrets s on s.number = v.secret where s.path = $1',
        [of],
      )
    const own = await versions(path)
    const current = own.some(({ label }) => label === 'current')
      ? (await adapter.read(path, { signal: new AbortController().signal })).value
      : undefined
    return { current, made: own.length, secret: JSON.stringify(own), neighbours: JSON.stringify(await versions(beside)) }
  }

  async close(): Promise<void> {
    await rm(this.#folder, { recursive: true })
  }

  get #data(): string {
    return join(this.#folder, String(this.#processes))
  }

  /** What the process left on the disk is what the next one finds, without the tidying up of a good end. */
  async #kill(client: Client): Promise<void> {
    const left = this.#data
    this.#processes += 1
    await cp(left, this.#data, { recursive: true })
    await client.sql.close()
    this.#held = undefined
  }
}
