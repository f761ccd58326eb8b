import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open, options } from '@keyturn/adapter-gcp'
import { GcpAuthorityFake } from '../../fakes/gcp-authority.ts'
import { GcpSecretManagerFake } from '../../fakes/gcp-secret-manager.ts'
import { testCertificates } from '../../fakes/tls/certificates.ts'
import { context, ofText, type Subject } from './subject.ts'

const account = 'broker@shop-prod.iam.gserviceaccount.com'

/** Our own fake over gRPC and TLS. A service account's key signs its tokens itself. */
export const gcp: Subject = {
  kind: 'gcp',
  speaks: 'grpc',
  writesAtOnce: true,
  async start() {
    const authority = await GcpAuthorityFake.start()
    const fake = await GcpSecretManagerFake.start({ tls: true })
    fake.account = token => (authority.accountOf(token) === account ? { may: () => true } : undefined)
    const folder = await mkdtemp(join(tmpdir(), 'keyturn-faults-'))
    const keyFile = join(folder, 'key.json')
    await writeFile(keyFile, JSON.stringify(authority.keyFile(account)))
    const section = { project: 'shop-prod', ca: testCertificates.ca, auth: { method: 'service-account-key', keyFile } }
    return {
      server: 'our own fake',
      port: fake.port,
      tls: { own: testCertificates.server, impostor: testCertificates.client },
      open: port => open(options.parse({ endpoint: `https://localhost:${port}`, ...section }), context, { env: {} }),
      ...ofText('faults-'),
      async stop() {
        await fake.close()
        await authority.close()
        await rm(folder, { recursive: true })
      },
    }
  },
}

/** What `KEYTURN_TEST_GCP` names on the loopback: an emulator, in plaintext. A real project is not asked to endure this. */
export const gcpGiven: Subject = {
  kind: 'gcp',
  speaks: 'grpc',
  writesAtOnce: true,
  async start() {
    const { KEYTURN_TEST_GCP: given = '', KEYTURN_TEST_GCP_SERVER: server = 'an emulator' } = process.env
    const port = /^(?:127\.0\.0\.1|localhost):(\d+)$/.exec(given)?.[1]
    if (port === undefined) return { absent: 'KEYTURN_TEST_GCP names no emulator on the loopback' }
    return {
      server,
      port: Number(port),
      // its lists repeat and miss where they have several pages
      open: front =>
        open(options.parse({ endpoint: `127.0.0.1:${front}`, project: 'keyturn-faults', pageSize: 25_000 }), context, { env: {} }),
      ...ofText(`faults-${crypto.randomUUID().slice(0, 8)}-`),
      async stop() {},
    }
  },
}
