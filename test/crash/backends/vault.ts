import { SecretValue, type StorePath } from '@keyturn/core'
import { open, options } from '../../../packages/adapter-vault/src/index.ts'
import { VaultFake } from '../../fakes/vault.ts'
import type { Rule } from '../../fakes/vault-auth.ts'
import type { KvOne, KvTwo } from '../../fakes/vault-kv.ts'
import { httpLine } from '../relays/http.ts'
import { type Backend, contextIn, type Look, type Shelf } from './backend.ts'
import { textsOf } from './texts.ts'

const rules: readonly Rule[] = [{ path: 'kv/*', capabilities: ['create', 'read', 'update', 'delete', 'list'] }]
const auth = { method: 'approle', roleId: 'app', secretId: 'secret-id-of-app' }
const key = 'app/credential'
const beside = 'app/neighbour'

/** KV v2. `cas`: the mount takes no write without compare-and-set. */
export function vaultKv2({ cas = false } = {}): Backend {
  return {
    name: cas ? 'vault, KV v2 that requires cas' : 'vault, KV v2',
    start() {
      return shelf(2, fake => {
        const engine = fake.mount('kv', 2)
        engine.casRequired = cas
        return { engine, look: () => lookInTwo(engine) }
      })
    },
  }
}

/** KV v1, which overwrites in place. */
export const vaultKv1: Backend = {
  name: 'vault, KV v1',
  start() {
    return shelf(1, fake => {
      const engine = fake.mount('kv', 1)
      return { engine, look: () => lookInOne(engine) }
    })
  },
}

interface Mounted {
  readonly engine: KvOne | KvTwo
  look(): Look
}

async function shelf(version: 1 | 2, mount: (fake: VaultFake) => Mounted): Promise<Shelf> {
  const fake = await VaultFake.start()
  const { engine, look } = mount(fake)
  fake.auth.appRoles.set('app', { roleId: auth.roleId, secretId: auth.secretId, ttlMs: 60_000, renewable: true, rules })
  engine.put(beside, { value: 'stays', number: 1 })
  return {
    path: (version === 2 ? `kv/data/${key}` : `kv/${key}`) as StorePath,
    form: 'fields',
    async open(carry) {
      const { url, kill } = await httpLine(fake.url, carry)
      const section = options.parse({ address: url, kv: version, auth })
      return { adapter: await open(section, contextIn('/nonexistent'), { env: {} }), kill }
    },
    async place(value) {
      engine.put(key, textsOf(value))
    },
    look: async () => look(),
    async close() {
      await fake.close()
      if (fake.broken.length > 0) throw new Error('the fake itself broke', { cause: fake.broken[0] })
    },
  }
}

function lookInTwo({ secrets }: KvTwo): Look {
  const secret = secrets.get(key)
  const current = secret?.versions.get(secret.current)
  return {
    current: current?.deletion_time === '' ? heldIn(current.data) : undefined,
    made: secret?.versions.size ?? 0,
    secret: JSON.stringify([...(secret?.versions ?? [])]),
    neighbours: JSON.stringify([...(secrets.get(beside)?.versions ?? [])]),
  }
}

function lookInOne(engine: KvOne): Look {
  const read = (name: string) => engine.handle({ operation: 'read', key: name, query: new URLSearchParams(), body: {} }).data
  return { current: heldIn(read(key)), secret: JSON.stringify(read(key)), neighbours: JSON.stringify(read(beside)) }
}

/** What stands in the backend, written there as texts. */
function heldIn(data: unknown): SecretValue | undefined {
  return data === undefined || data === null ? undefined : SecretValue.fields(data as Record<string, string>)
}
