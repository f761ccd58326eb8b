import { testContext, wallClock } from '@keyturn/conformance'
import { Store, type StoreAdapter } from '@keyturn/core'
import { expect } from 'vitest'
import { AzureVault } from '../../../test/fakes/azure-vault.ts'
import { testCertificates } from '../../../test/fakes/tls/certificates.ts'
import { open, options } from './index.ts'

export const context = testContext('azure')

/** A fake vault for one test, and the stores that were opened on it. */
export class OwnVault {
  readonly fake: AzureVault
  readonly #opened: StoreAdapter[] = []

  private constructor(fake: AzureVault) {
    this.fake = fake
  }

  static async start(): Promise<OwnVault> {
    return new OwnVault(await AzureVault.start())
  }

  /** The keys of a section that leads to the fake. */
  section(more: object = {}): object {
    const { tenant: tenantId, url: authority } = this.fake.authority
    const auth = { method: 'client-secret', tenantId, clientId: 'app', clientSecret: 'secret-of-the-app' }
    return { vault: this.fake.url, authority, verifyChallenge: false, ca: testCertificates.ca, auth, ...more }
  }

  async store(
    more: object = {},
    { timeoutMs = 20_000, env = {} }: { timeoutMs?: number; env?: Record<string, string> } = {},
  ): Promise<Store> {
    const adapter = await open(options.parse(this.section(more)), context, { env })
    this.#opened.push(adapter)
    return new Store(adapter, { name: 'azure', clock: wallClock, timeoutMs })
  }

  async close(): Promise<void> {
    for (const each of this.#opened) await each.close()
    expect(this.fake.broken).toEqual([])
    await this.fake.close()
  }
}
