import { SecretValue, type StorePath } from '@keyturn/core'
import { open, options } from '../../../packages/adapter-kubernetes/src/index.ts'
import { KubernetesFake } from '../../fakes/kubernetes.ts'
import type { Stored } from '../../fakes/kubernetes-secrets.ts'
import { httpLine } from '../relays/http.ts'
import { type Backend, contextIn } from './backend.ts'
import { textsOf } from './texts.ts'

const namespace = 'shop'
const [secretName, beside] = ['credential', 'neighbour']
/** What others keep on the same object: it is not ours to change. */
const labels = { 'app.kubernetes.io/part-of': 'shop' }

/** A Kubernetes API server over TLS. An object keeps one version; its `resourceVersion` is what a write is compared with. */
export const kubernetes: Backend = {
  name: 'kubernetes',
  async start() {
    const fake = await KubernetesFake.start()
    fake.secrets.namespaces.add(namespace)
    fake.secrets.put(namespace, beside, { value: 'stays' })
    const find = (name: string) => fake.secrets.all(namespace).find(each => each.metadata.name === name)
    return {
      path: `${namespace}/${secretName}` as StorePath,
      form: 'fields',
      async open(carry) {
        const { url, kill } = await httpLine(fake.url, carry)
        const auth = { method: 'token', token: fake.admin }
        return { adapter: await open(options.parse({ address: url, ca: fake.ca, auth }), contextIn('/nonexistent'), { env: {} }), kill }
      },
      async place(value) {
        fake.secrets.put(namespace, secretName, textsOf(value), find(secretName) === undefined ? { metadata: { labels } } : {})
      },
      async look() {
        const stored = find(secretName)
        const theirs = stored?.metadata.labels
        return {
          current: stored?.data === undefined ? undefined : heldIn(stored.data),
          secret: JSON.stringify(stored),
          neighbours: JSON.stringify({ theirs, type: stored?.type, beside: find(beside) }),
        }
      },
      async close() {
        await fake.close()
        if (fake.broken.length > 0) throw new Error('the fake itself broke', { cause: fake.broken[0] })
      },
    }
  },
}

function heldIn(data: NonNullable<Stored['data']>): SecretValue {
  return SecretValue.fields(Object.fromEntries(Object.entries(data).map(([name, text]) => [name, Buffer.from(text, 'base64').toString()])))
}
