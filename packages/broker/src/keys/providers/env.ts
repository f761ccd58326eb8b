import { BrokerError } from '@keyturn/core'
import { isKekId, type KekProvider, type KeyringContent, parseKek } from '@keyturn/envelope'
import { shownId } from './shown-id.ts'

/**
 * KEKs from variables: `<PREFIX>_KEK_<id>` holds one, `<PREFIX>_CURRENT_KEK_ID` names the one that closes new values. With nothing set
 * it is `invalid_argument` naming both: a broker must never start with a key that nobody chose. A process cannot be given new variables: other
 * keys come with a restart.
 */
export function envProvider(prefix: string, env: NodeJS.ProcessEnv): KekProvider {
  return {
    kind: 'env',
    maxAgeMs: null,
    async load() {
      return { ...envKeys(prefix, env), missing: [] }
    },
    async examine() {
      const { keks, current } = envKeys(prefix, env)
      return [{ ok: true, what: 'keys', detail: `current ${current}, in variables: ${[...keks.keys()].sort().join(' ')}` }]
    },
    async close() {},
  }
}

/** What the variables hold; refuses what a keyring would, and a variable whose name ends in no id. */
export function envKeys(prefix: string, env: NodeJS.ProcessEnv): KeyringContent {
  const head = `${prefix}_KEK_`
  const named = `${prefix}_CURRENT_KEK_ID`
  const keks = new Map(
    Object.entries(env).flatMap(([variable, text]) => {
      if (!variable.startsWith(head) || text === undefined) return []
      const id = variable.slice(head.length)
      mustEndInId(head, id)
      return [[id, parseKek(id, text)] as const]
    }),
  )
  const current = env[named] ?? ''
  if (keks.size === 0 || current === '') {
    const missing = keks.size > 0 ? `${named} is` : current === '' ? `${head}<id> and ${named} are` : `${head}<id> is`
    throw new BrokerError('invalid_argument', `keys come from the environment, but ${missing} not set`, {
      hint: `set ${head}<id> to 32 random bytes in base64url without padding, and ${named} to that id`,
    })
  }
  if (!isKekId(current)) {
    throw new BrokerError('invalid_argument', `variable ${named} holds no id of a KEK: ${shownId(current)}`, {
      hint: `write the end of the name of a variable ${head}<id>`,
    })
  }
  return { keks, current }
}

/** What is passed over in silence here would be missed when it is needed. */
function mustEndInId(head: string, id: string): void {
  if (isKekId(id)) return
  throw new BrokerError('invalid_argument', `a variable that begins with ${head} ends in no id of a KEK: ${shownId(id)}`, {
    hint: 'an id is 1 to 64 letters, digits, - or _, and is not the key itself; give the variable another name, or take it away',
  })
}
