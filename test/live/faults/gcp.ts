import { open, options } from '@keyturn/adapter-gcp'
import { GcpSecretManagerFake } from '../../fakes/gcp-secret-manager.ts'
import { context, ofText, type Subject } from './subject.ts'

/** Our own fake over gRPC, in plaintext: no login is asked for there. */
export const gcp: Subject = {
  kind: 'gcp',
  speaks: 'grpc',
  writesAtOnce: true,
  async start() {
    const fake = await GcpSecretManagerFake.start()
    return {
      server: 'our own fake',
      port: fake.port,
      open: port => open(options.parse({ endpoint: `127.0.0.1:${port}`, project: 'shop-prod' }), context, { env: {} }),
      ...ofText('faults-'),
      stop: () => fake.close(),
    }
  },
}
