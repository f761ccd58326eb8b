import type { OpenContext, StoreAdapter } from '@keyturn/core'
import { classify } from './classify.ts'
import { Client } from './client.ts'
import { credentialOf, type Environment } from './credential.ts'
import { examiner } from './examine.ts'
import { Login } from './login.ts'
import type { AzureOptions } from './options.ts'
import { openSecrets } from './secrets.ts'
import { Transport } from './transport.ts'
import { refusal, valueBytesMax } from './values.ts'

/** The longest wait for one answer, should nobody set a deadline; a `Store` has its own, shorter or longer. */
const answerMs = 60_000
const loginMs = 30_000

/**
 * Opens a section of kind `azure`: the secrets of one vault. Nothing is sent before the first call. `env` is where `AZURE_*` variables are looked for;
 * a managed identity's endpoint and the Azure CLI are found by the SDK, in the process's own environment.
 */
export async function open(options: AzureOptions, context: OpenContext, { env }: { readonly env: Environment }): Promise<StoreAdapter> {
  const { vault, verifyChallenge, ca, proxy, maxInFlight } = options
  const credential = credentialOf(options, env)
  const authority = new Transport({ plain: true, ca, proxy, connections: maxInFlight, answerMs: loginMs })
  const transport = new Transport({ origin: vault, ca, proxy, connections: maxInFlight, answerMs })
  const login = new Login({ credential, transport: authority, clock: context.clock })
  const client = new Client({ vault, verifyChallenge, transport, login, clock: context.clock })
  return {
    kind: 'azure',
    guarantees: { cas: false, idempotent: false, valueBytesMax },
    ...openSecrets(client),
    refuses: refusal,
    examine: examiner({ client, options }),
    classify,
    async close() {
      client.close()
      authority.close()
    },
  }
}
