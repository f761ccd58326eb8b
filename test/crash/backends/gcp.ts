import { SecretValue, type StorePath } from '@keyturn/core'
import { open, options } from '../../../packages/adapter-gcp/src/index.ts'
import { GcpSecretManagerFake } from '../../fakes/gcp-secret-manager.ts'
import type { SecretsFake } from '../../fakes/gcp-secrets.ts'
import { grpcLine } from '../relays/grpc.ts'
import { type Backend, contextIn } from './backend.ts'
import { plainTextOf } from './texts.ts'

const project = 'shop-prod'
const [id, beside] = ['app-credential', 'app-neighbour']

/** Google Secret Manager over gRPC. */
export const gcp: Backend = {
  name: 'gcp',
  async start() {
    const fake = await GcpSecretManagerFake.start()
    const secrets = fake.secrets(`projects/${project}`)
    secrets.put(beside, 'stays')
    return {
      path: id as StorePath,
      form: 'text',
      async open(carry) {
        const { url, kill } = await grpcLine(`http://${fake.endpoint}`, carry)
        return { adapter: await open(options.parse({ endpoint: url, project }), contextIn('/nonexistent'), { env: {} }), kill }
      },
      async place(value) {
        secrets.put(id, plainTextOf(value))
      },
      async look() {
        const versions = versionsOf(secrets, id)
        const newest = versions[0]?.data
        return {
          current: newest === undefined ? undefined : SecretValue.text(newest),
          made: versions.length,
          secret: JSON.stringify(versions),
          neighbours: JSON.stringify(versionsOf(secrets, beside)),
        }
      },
      async close() {
        await fake.close()
        if (fake.broken.length > 0) throw new Error(`the fake saw what must not be: ${fake.broken.join('; ')}`)
      },
    }
  },
}

interface Version {
  readonly name: string
  readonly state: string
  readonly data?: string
}

/** Newest first, each with its value where it can be read. */
function versionsOf(secrets: SecretsFake, of: string): readonly Version[] {
  if (!secrets.has(of)) return []
  // what the fake answers is a message of the service
  const { versions } = secrets.listVersions(of, 0, '') as { versions: readonly { name: string; state: string }[] }
  return versions.map(({ name, state }) => {
    if (state !== 'ENABLED') return { name, state }
    const { payload } = secrets.access(of, name.replace(/^.*\//, '')) as { payload: { data: Buffer } }
    return { name, state, data: payload.data.toString() }
  })
}
