import { BrokerError } from '@keyturn/core'
import { isKekId, type KeyringContent, parseKek } from '@keyturn/envelope'

/**
 * KEKs from variables: `<PREFIX>_KEK_<id>` holds one, `<PREFIX>_CURRENT_KEK_ID` names the one that closes new values. With nothing set
 * it is `invalid_argument` naming both: a broker must never start with a key that nobody chose.
 */
export function envKeys(prefix: string, env: NodeJS.ProcessEnv): KeyringContent {
  const head = `${prefix}_KEK_`
  const named = `${prefix}_CURRENT_KEK_ID`
  const keks = new Map(
    Object.entries(env).flatMap(([variable, text]) => {
      if (!variable.startsWith(head) || text === undefined) return []
      const id = variable.slice(head.length)
      return isKekId(id) ? [[id, parseKek(id, text)] as const] : []
    }),
  )
  const current = env[named] ?? ''
  if (keks.size === 0 || current === '') {
    const missing = keks.size > 0 ? `${named} is` : current === '' ? `${head}<id> and ${named} are` : `${head}<id> is`
    throw new BrokerError('invalid_argument', `keys come from the environment, but ${missing} not set`, {
      hint: `set ${head}<id> to 32 random bytes in base64url without padding, and ${named} to that id`,
    })
  }
  return { keks, current }
}
