import { open, options } from '@keyturn/adapter-azure'
import { AzureVault } from '../../fakes/azure-vault.ts'
import { testCertificates } from '../../fakes/tls/certificates.ts'
import { context, ofText, type Subject } from './subject.ts'

/** Our own fake; its authority is reached past the proxy. */
export const azure: Subject = {
  kind: 'azure',
  speaks: 'http',
  writesAtOnce: false,
  async start() {
    const fake = await AzureVault.start()
    const { authority } = fake
    const auth = { method: 'client-secret', tenantId: authority.tenant, clientId: 'app', clientSecret: 'secret-of-the-app' }
    const { ca } = testCertificates
    return {
      server: 'our own fake',
      port: Number(new URL(fake.url).port),
      tls: { own: testCertificates.server, impostor: testCertificates.client },
      open: port =>
        open(options.parse({ vault: `https://127.0.0.1:${port}`, authority: authority.url, verifyChallenge: false, ca, auth }), context, {
          env: {},
        }),
      ...ofText('faults-'),
      stop: () => fake.close(),
    }
  },
}
