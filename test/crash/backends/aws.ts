import { SecretValue, type StorePath } from '@keyturn/core'
import { open, options } from '../../../packages/adapter-aws/src/index.ts'
import { AwsSecretsManagerFake } from '../../fakes/aws-secrets-manager.ts'
import { httpLine } from '../relays/http.ts'
import { type Backend, contextIn } from './backend.ts'
import { plainTextOf } from './texts.ts'

const secretName = 'app/credential'
const beside = 'app/neighbour'

/** AWS Secrets Manager, which stages versions by labels. */
export const aws: Backend = {
  name: 'aws',
  async start() {
    const fake = await AwsSecretsManagerFake.start()
    const { accessKeyId, secretAccessKey } = fake.accounts.add()
    fake.secrets.put(beside, 'stays')
    return {
      path: secretName as StorePath,
      form: 'text',
      async open(carry) {
        const { url, kill } = await httpLine(fake.url, carry)
        const section = options.parse({ region: fake.region, endpoint: url, auth: { method: 'static', accessKeyId, secretAccessKey } })
        return { adapter: await open(section, contextIn('/nonexistent'), { env: {} }), kill }
      },
      async place(value) {
        fake.secrets.put(secretName, plainTextOf(value))
      },
      async look() {
        const versions = versionsOf(fake, secretName)
        const current = versions.find(({ labels }) => labels.includes('AWSCURRENT'))?.text
        return {
          current: current === undefined ? undefined : SecretValue.text(current),
          made: versions.length,
          secret: JSON.stringify(versions),
          neighbours: JSON.stringify(versionsOf(fake, beside)),
        }
      },
      async close() {
        await fake.close()
        if (fake.broken.length > 0) throw new Error('the fake saw what must not be', { cause: fake.broken[0] })
      },
    }
  },
}

function versionsOf(fake: AwsSecretsManagerFake, name: string) {
  return [...fake.secrets.secret(name).versions.values()].map(({ id, text, labels }) => ({ id, text, labels: [...labels].sort() }))
}
