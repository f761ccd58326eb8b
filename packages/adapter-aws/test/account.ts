import { testContext, wallClock } from '@keyturn/conformance'
import { type Etag, SecretValue, Store, type StoreAdapter } from '@keyturn/core'
import { expect } from 'vitest'
import { AwsSecretsManagerFake } from '../../../test/fakes/aws-secrets-manager.ts'
import { open, options } from '../src/index.ts'

const context = testContext('aws')

export const text = (value: string) => SecretValue.text(value)
export const intent = (more: { ifMatch?: Etag | null } = {}) => ({ idempotencyKey: crypto.randomUUID(), ...more })

/** A fake account whose time moves by a millisecond each time it is asked, and stores opened in it. */
export class Account {
  readonly fake: AwsSecretsManagerFake
  readonly #opened: StoreAdapter[] = []
  readonly #time: { now: number }

  private constructor(fake: AwsSecretsManagerFake, time: { now: number }) {
    this.fake = fake
    this.#time = time
  }

  static async start(): Promise<Account> {
    const time = { now: Date.UTC(2026, 0, 1) }
    const fake = await AwsSecretsManagerFake.start({
      now() {
        time.now += 1
        return time.now
      },
    })
    return new Account(fake, time)
  }

  get now(): number {
    return this.#time.now
  }

  /** A store whose credential is denied these calls. */
  async store(more: object = {}, denied: readonly string[] = []): Promise<Store> {
    const { accessKeyId, secretAccessKey } = this.fake.accounts.add({ denied })
    const section = { region: this.fake.region, endpoint: this.fake.url, auth: { method: 'static', accessKeyId, secretAccessKey } }
    const adapter = await open(options.parse({ ...section, ...more }), context, { env: {} })
    this.#opened.push(adapter)
    return new Store(adapter, { name: 'aws', clock: wallClock, timeoutMs: 10_000 })
  }

  /** The operations that were asked for. */
  sent(): readonly string[] {
    return this.fake.seen.map(({ operation }) => operation)
  }

  /** The labels of each version of a secret, by its text. */
  labels(name: string): object {
    const versions = [...this.fake.secrets.secret(name).versions.values()]
    return Object.fromEntries(versions.map(each => [each.text, [...each.labels].sort()]))
  }

  async close(): Promise<void> {
    for (const each of this.#opened) await each.close()
    expect(this.fake.broken).toEqual([])
    await this.fake.close()
  }
}
