import type { OpenContext, StoreAdapter } from '@keyturn/core'
import { classify } from './classify.ts'
import { Client } from './client.ts'
import { examiner } from './examine.ts'
import { Kv } from './kv.ts'
import { openV1 } from './kv-v1.ts'
import { openV2 } from './kv-v2.ts'
import { credentialOf, type Environment } from './login.ts'
import { namespacesOf } from './namespace.ts'
import { sectionKv, type VaultOptions } from './options.ts'
import { Session } from './session.ts'
import { refusal, valueBytesMax } from './values.ts'

/** The longest wait for one answer, should nobody set a deadline; a `Store` has its own, shorter or longer. */
const answerMs = 60_000

/**
 * Opens a section of kind `vault` as a store of KV v2 or of KV v1 paths. Nothing is sent before the first call. `env` is where
 * `VAULT_TOKEN`, `VAULT_NAMESPACE` and `KEYTURN_SERVICE_ACCOUNT_TOKEN_FILE` are looked for. `invalid_argument` for a bad `VAULT_NAMESPACE`.
 */
export async function open(options: VaultOptions, context: OpenContext, { env }: { readonly env: Environment }): Promise<StoreAdapter> {
  const { address, ca, proxy, maxInFlight } = options
  const namespaces = namespacesOf(options, env)
  const client = new Client({ address, proxy, ca, connections: maxInFlight, answerMs, namespace: namespaces.secrets })
  const session = new Session({
    client: client.in(namespaces.login),
    address: namespaces.login === undefined ? address : `${address} in namespace ${namespaces.login}`,
    credential: credentialOf(options.auth, env),
    clock: context.clock,
    random: context.random,
  })
  const kv = new Kv(client, session)
  const version = sectionKv(options)
  const now = () => context.clock.now()
  const members = version === 2 ? openV2(kv, options, now) : openV1(kv, options, { now, etagKey: context.etagKey })
  let closed: Promise<void> | undefined
  return {
    kind: 'vault',
    guarantees: { cas: version === 2, idempotent: false, valueBytesMax },
    ...members,
    refuses: value => refusal(value, version === 2 ? 'floats' : 'kept'),
    examine: examiner({ kv, session, options, version }),
    classify,
    close() {
      closed ??= session.close().then(() => client.close())
      return closed
    },
  }
}
