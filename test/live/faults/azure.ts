import { open, options } from '@keyturn/adapter-azure'
import { AzureVault } from '../../fakes/azure-vault.ts'
import { testCertificates } from '../../fakes/tls/certificates.ts'
import { givenAzure } from '../../servers/azure-given.ts'
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

/** What `KEYTURN_TEST_AZURE_*` names on the loopback: an emulator. A real vault is not asked to endure this. */
export const azureGiven: Subject = {
  kind: 'azure',
  speaks: 'http',
  writesAtOnce: false,
  async start() {
    const given = givenAzure(process.env)
    if ('absent' in given) return given
    const { hostname, port } = new URL(given.vault)
    if (!['127.0.0.1', 'localhost'].includes(hostname)) return { absent: 'KEYTURN_TEST_AZURE_VAULT names no emulator on the loopback' }
    const { tenant: tenantId, clientId, clientSecret, authority, ca } = given
    const auth = { method: 'client-secret', tenantId, clientId, clientSecret }
    return {
      server: given.name,
      port: Number(port),
      tls: { impostor: testCertificates.server },
      open: front =>
        open(options.parse({ vault: `https://${hostname}:${front}`, authority, verifyChallenge: false, ca, auth }), context, { env: {} }),
      ...ofText(`faults-${crypto.randomUUID().slice(0, 8)}-`),
      async stop() {},
    }
  },
}
