import { testContext, wallClock } from '@keyturn/conformance'
import { SecretValue, Store, type StorePath } from '@keyturn/core'
import { afterEach, beforeEach, expect } from 'vitest'
import { GcpSecretManagerFake } from '../../../test/fakes/gcp-secret-manager.ts'
import { open, options } from './index.ts'

/** What a store is opened with, beside its section. */
export const context = testContext('gcp')
export const parent = 'projects/shop-prod'

/** A fake of the service for each test, and stores on it that are closed behind it. `more` are keys of every section. */
export class Scene {
  #fake: GcpSecretManagerFake | undefined
  readonly #stores: Store[] = []
  readonly #more: object

  constructor(more: object = {}) {
    this.#more = more
    beforeEach(async () => {
      this.#fake = await GcpSecretManagerFake.start()
    })
    afterEach(async () => {
      for (const each of this.#stores.splice(0)) await each.close()
      expect(this.fake.broken).toEqual([])
      await this.fake.close()
    })
  }

  get fake(): GcpSecretManagerFake {
    if (this.#fake === undefined) throw new Error('the fake is there within a test')
    return this.#fake
  }

  async store(more: object = {}, env: Record<string, string> = {}): Promise<Store> {
    const section = options.parse({ endpoint: this.fake.endpoint, project: 'shop-prod', ...this.#more, ...more })
    const store = new Store(await open(section, context, { env }), { name: 'gcp', clock: wallClock, timeoutMs: 5_000 })
    this.#stores.push(store)
    return store
  }

  /** As another client would. */
  put(id: string, value: string | Uint8Array): void {
    this.fake.secrets(parent).put(id, value)
  }

  /** The calls that the service saw. */
  methods(): readonly string[] {
    return this.fake.seen.map(({ method }) => method)
  }
}

export const at = (path: string) => path as StorePath
export const intent = () => ({ idempotencyKey: crypto.randomUUID() })
export const isText = (value: SecretValue, text: string) => value.equals(SecretValue.text(text))
