import { SecretValue, type StorePath } from '@keyturn/core'
import { open, options } from '../../../packages/adapter-azure/src/index.ts'
import { AzureVault } from '../../fakes/azure-vault.ts'
import { testCertificates } from '../../fakes/tls/certificates.ts'
import { httpLine } from '../relays/http.ts'
import { type Backend, contextIn } from './backend.ts'
import { plainTextOf } from './texts.ts'

const secretName = 'app-credential'
const beside = 'app-neighbour'

/** Azure Key Vault over TLS, whose every write is a new version that is current at once. */
export const azure: Backend = {
  name: 'azure',
  async start() {
    const fake = await AzureVault.start()
    const { authority, secrets } = fake
    secrets.put(beside, 'stays')
    const auth = { method: 'client-secret', tenantId: authority.tenant, clientId: 'app', clientSecret: 'secret-of-the-app' }
    const emulated = { authority: authority.url, auth, verifyChallenge: false, ca: testCertificates.ca }
    return {
      path: secretName as StorePath,
      form: 'text',
      async open(carry) {
        const { url, kill } = await httpLine(fake.url, carry)
        return { adapter: await open(options.parse({ vault: url, ...emulated }), contextIn('/nonexistent'), { env: {} }), kill }
      },
      async place(value) {
        secrets.put(secretName, plainTextOf(value))
      },
      async look() {
        const versions = secrets.stored(secretName)
        const newest = versions.at(-1)
        return {
          current: newest?.enabled === true ? SecretValue.text(newest.value) : undefined,
          made: versions.length,
          secret: JSON.stringify(versions),
          neighbours: JSON.stringify(secrets.stored(beside)),
        }
      },
      async close() {
        await fake.close()
        if (fake.broken.length > 0) throw new Error('the fake itself broke', { cause: fake.broken[0] })
      },
    }
  },
}
