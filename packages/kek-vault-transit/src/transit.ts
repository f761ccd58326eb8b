import type { Clock } from '@keyturn/core'
import type { KekWrapper } from '@keyturn/envelope'
import { type Answer, member, refusal } from './classify.ts'
import { examineTransit } from './examine.ts'
import { type Auth, Login } from './login.ts'
import { bound, foreign, type Place, placeOf, type Transit, usable, versionName, versionOf } from './transit-key.ts'
import { Wire } from './wire.ts'

/** The key of a transit engine that closes KEKs, where it answers, and how to log in. */
export interface TransitOptions extends Auth {
  readonly address: string
  readonly namespace?: string | undefined
  /** The mount of the transit engine. */
  readonly mount: string
  /** The name of the key. */
  readonly key: string
  /** PEM text of the authorities to trust instead of the machine's. */
  readonly ca?: string | undefined
}

/**
 * KEKs closed by a key of a transit engine of Vault or OpenBao, bound to ledger and KEK as associated data. The name of the closing key is
 * `<mount>/<key>:v<version>`, the bytes are the server's own `vault:v<version>:...`. https://openbao.org/api-docs/secret/transit/
 */
export function openVaultTransit(
  options: TransitOptions,
  { env, clock }: { readonly env: Readonly<Record<string, string | undefined>>; readonly clock: Clock },
): KekWrapper {
  const wire = new Wire(options)
  const login = new Login({ wire, auth: options, env, clock })
  const transit = transitOn(wire, login, options)
  const newest = async (signal: AbortSignal) => versionName(options, usable(options, await transit.describe(signal)).latest)
  return {
    kind: 'vault-transit',
    newest,
    async wrap(kek, context, signal) {
      usable(options, await transit.describe(signal))
      const body = { plaintext: Buffer.from(kek).toString('base64'), associated_data: bound(context) }
      const ciphertext = textIn(await transit.ask('closing a KEK', 'encrypt', options, body, signal), 'ciphertext')
      return { key: versionName(options, versionOf(ciphertext)), bytes: Buffer.from(ciphertext) }
    },
    async unwrap(wrapped, context, signal) {
      const { place, ciphertext } = placeOf(wrapped, context)
      const body = { ciphertext, associated_data: bound(context) }
      const answer = await transit.ask(`opening KEK ${context.kekId}`, 'decrypt', place, body, signal)
      return Buffer.from(textIn(answer, 'plaintext'), 'base64')
    },
    examine: signal => examineTransit(transit, signal),
    async close() {
      await login.close()
      await wire.close()
    },
  }
}

function transitOn(wire: Wire, login: Login, { mount, key }: Place): Transit {
  const answer = async (what: string, signal: AbortSignal, send: (token: string) => Promise<Answer>) => {
    const got = await login.run(signal, send)
    if (got.status !== 200) throw refusal(what, got)
    return member(got.body, 'data')
  }
  return {
    mount,
    key,
    async describe(signal) {
      const path = [...mount.split('/'), 'keys', key]
      const data = await answer(`looking at key ${mount}/${key}`, signal, token => wire.send({ method: 'GET', path, token, signal }))
      const [type, latest] = [member(data, 'type'), member(data, 'latest_version')]
      if (typeof type !== 'string' || typeof latest !== 'number') throw foreign()
      return { type, latest, isDerived: member(data, 'derived') === true, isExportable: member(data, 'exportable') === true }
    },
    ask(what, action, place, body, signal) {
      const path = [...place.mount.split('/'), action, place.key]
      return answer(what, signal, token => wire.send({ method: 'POST', path, body, token, signal }))
    },
  }
}

function textIn(data: unknown, name: string): string {
  const text = member(data, name)
  if (typeof text === 'string' && text !== '') return text
  throw foreign()
}
