import type { OpenContext, StoreAdapter } from '@keyturn/core'
import { classify } from './classify.ts'
import { Client } from './client.ts'
import type { Environment } from './credential.ts'
import { examiner } from './examine.ts'
import { credentialOf } from './login.ts'
import { Places } from './names.ts'
import type { KubernetesOptions } from './options.ts'
import { Session } from './session.ts'
import { openSecrets } from './store.ts'
import { refusal, valueBytesMax } from './values.ts'

export { type KubernetesOptions, nameOf, options } from './options.ts'

/** The longest wait for one answer, should nobody set a deadline; a `Store` has its own, shorter or longer. */
const answerMs = 60_000

/**
 * Opens a section of kind `kubernetes`. Nothing is read or sent before the first call. `env` is where `KUBECONFIG`, `HOME` and
 * `KUBERNETES_SERVICE_HOST` are looked for.
 */
export async function open(
  options: KubernetesOptions,
  { clock, etagKey }: OpenContext,
  { env }: { readonly env: Environment },
): Promise<StoreAdapter> {
  const credential = await credentialOf(options, { env, clock })
  const session = new Session({ credential, clock, connections: options.maxInFlight, answerMs })
  const client = new Client(session)
  const named = options.secrets ?? []
  const places = new Places(named)
  let closed: Promise<void> | undefined
  return {
    kind: 'kubernetes',
    guarantees: { cas: true, idempotent: true, valueBytesMax },
    ...openSecrets({ client, places, etagKey }),
    refuses: refusal,
    examine: examiner({ client, places, named }),
    classify,
    close() {
      closed ??= session.close()
      return closed
    },
  }
}
