import { open, options } from '@keyturn/adapter-kubernetes'
import { KubernetesFake } from '../../fakes/kubernetes.ts'
import { testCertificates } from '../../fakes/tls/certificates.ts'
import { context, ofFields, type Subject } from './subject.ts'

/** Our own fake: an API server's certificate would be trusted in front of any port, and its key is not ours to show. */
export const kubernetes: Subject = {
  kind: 'kubernetes',
  speaks: 'http',
  writesAtOnce: false,
  async start() {
    const fake = await KubernetesFake.start()
    fake.secrets.namespaces.add('faults')
    const auth = { method: 'token', token: fake.admin }
    const { ca } = testCertificates
    return {
      server: 'our own fake',
      port: Number(new URL(fake.url).port),
      tls: { own: testCertificates.server, impostor: testCertificates.client },
      open: port => open(options.parse({ address: `https://127.0.0.1:${port}`, ca, auth }), context, { env: {} }),
      ...ofFields('faults/'),
      stop: () => fake.close(),
    }
  },
}
