import { open, options } from '@keyturn/adapter-aws'
import { AwsSecretsManagerFake } from '../../fakes/aws-secrets-manager.ts'
import { testCertificates } from '../../fakes/tls/certificates.ts'
import { context, ofText, type Subject } from './subject.ts'

/** Our own fake over TLS: what third parties have speaks plain HTTP. */
export const aws: Subject = {
  kind: 'aws',
  speaks: 'http',
  writesAtOnce: true,
  async start() {
    const fake = await AwsSecretsManagerFake.start({ tls: testCertificates.server })
    const { accessKeyId, secretAccessKey } = fake.accounts.add()
    const auth = { method: 'static', accessKeyId, secretAccessKey }
    const { ca } = testCertificates
    return {
      server: 'our own fake',
      port: Number(new URL(fake.url).port),
      tls: { own: testCertificates.server, impostor: testCertificates.client },
      open: port => open(options.parse({ region: fake.region, endpoint: `https://127.0.0.1:${port}`, ca, auth }), context, { env: {} }),
      ...ofText('faults/'),
      stop: () => fake.close(),
    }
  },
}
