import { open, options } from '@keyturn/adapter-aws'
import { AwsSecretsManagerFake } from '../../fakes/aws-secrets-manager.ts'
import { testCertificates } from '../../fakes/tls/certificates.ts'
import { findMoto, motoName, startMoto } from '../../servers/moto.ts'
import { context, ofText, type Subject } from './subject.ts'

/** Our own fake over TLS, which what third parties have does not speak. */
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

/** In plain HTTP, and nobody checks who asks. */
export const moto: Subject = {
  kind: 'aws',
  speaks: 'http',
  writesAtOnce: true,
  async start() {
    const binary = await findMoto()
    if (binary === undefined) return { absent: 'moto is not in the cache folder of servers' }
    const { url, stop } = await startMoto(binary)
    const auth = { method: 'static', accessKeyId: 'AKIALIVETESTS0000000', secretAccessKey: 'live-tests' }
    return {
      server: motoName,
      port: Number(new URL(url).port),
      open: port => open(options.parse({ region: 'us-east-1', endpoint: `http://127.0.0.1:${port}`, auth }), context, { env: {} }),
      ...ofText('faults/'),
      stop,
    }
  },
}
