import { open, options } from '@keyturn/adapter-kubernetes'
import { KubernetesFake } from '../../fakes/kubernetes.ts'
import { testCertificates } from '../../fakes/tls/certificates.ts'
import { findKubernetes, startKubernetes } from '../../servers/kubernetes.ts'
import { context, ofFields, type Subject } from './subject.ts'

const namespace = 'faults'

/** What the two servers differ in. */
interface Server {
  readonly server: string
  readonly url: string
  readonly token: string
  stop(): Promise<void>
}

/** A real API server where there is one, else our own fake; both have a certificate of the same authority. */
export const kubernetes: Subject = {
  kind: 'kubernetes',
  speaks: 'http',
  writesAtOnce: false,
  async start() {
    const binaries = await findKubernetes()
    const { server, url, token, stop } = binaries === undefined ? await ownFake() : await realServer(binaries)
    const auth = { method: 'token', token }
    const { ca } = testCertificates
    return {
      server,
      port: Number(new URL(url).port),
      tls: { own: testCertificates.server, impostor: testCertificates.client },
      open: port => open(options.parse({ address: `https://127.0.0.1:${port}`, ca, auth }), context, { env: {} }),
      ...ofFields(`${namespace}/`),
      stop,
    }
  },
}

async function realServer(binaries: Parameters<typeof startKubernetes>[0]): Promise<Server> {
  const cluster = await startKubernetes(binaries)
  await cluster.must('POST', '/api/v1/namespaces', { metadata: { name: namespace } })
  return { server: `kubernetes ${cluster.version}`, url: cluster.url, token: cluster.adminToken, stop: cluster.stop }
}

async function ownFake(): Promise<Server> {
  const fake = await KubernetesFake.start()
  fake.secrets.namespaces.add(namespace)
  return { server: 'our own fake', url: fake.url, token: fake.admin, stop: () => fake.close() }
}
