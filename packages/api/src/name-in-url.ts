import { BrokerError, type SecretId, type SecretName, secretName } from '@keyturn/core'
import { limits } from './limits.ts'

const origin = 'http://broker'
// segments that no URL parser touches: no dot in front (so none is `.` or `..`), nothing encoded
const plain = /^(?:\/[\w~@:+=,-][\w.~@:+=,-]*)+$/
const idForm = /^sec_[0-9A-HJKMNP-TV-Z]{26}$/i

/** What `{secret_id}` names: an id, or a whole name. */
export type SecretReference = { readonly id: SecretId } | { readonly name: SecretName }

/**
 * The canonical name after `prefix` (`/v1/secrets/`) in a request target as Node received it. It is percent-decoded once, then
 * held to the rules of `secretName`. A target that a URL parser would change is `invalid_argument`: what was authorised must be
 * what is fetched, whichever parser reads it next. Nothing of the target is echoed.
 */
export function nameInTarget(target: string, prefix: string): SecretName {
  return secretName(decodedRest(target, prefix))
}

/** Like `nameInTarget`, where an id (`sec_` and 26 characters of Crockford's base 32) may stand for the name. */
export function referenceInTarget(target: string, prefix: string): SecretReference {
  const rest = decodedRest(target, prefix)
  return idForm.test(rest) ? { id: rest as SecretId } : { name: secretName(rest) }
}

/** Refuses a request target that is no origin-form path, is too long, or that `new URL()` would change. */
export function checkTarget(target: string): void {
  if (target.length > limits.targetBytesMax) throw refused(`it is longer than ${limits.targetBytesMax} bytes`)
  if (plain.test(target)) return
  if (!target.startsWith('/')) throw refused('it does not start with a slash')
  if (target.includes('#')) throw refused('it holds a #')
  if (URL.parse(target, origin)?.href !== origin + target) throw refused('a URL parser would change it')
}

/** The path of a secret under a prefix: every segment encoded, slashes kept. */
export function pathOfName(prefix: string, name: SecretName): string {
  return prefix + name.split('/').map(encodeURIComponent).join('/')
}

/** The path for `{secret_id}`: an id as it is, a name encoded whole, its slashes too. */
export function pathOfReference(prefix: string, reference: SecretReference): string {
  return prefix + ('id' in reference ? reference.id : encodeURIComponent(reference.name))
}

function decodedRest(target: string, prefix: string): string {
  checkTarget(target)
  if (!target.startsWith(prefix)) throw refused('it is not below the path of its route')
  const query = target.indexOf('?')
  const rest = target.slice(prefix.length, query === -1 ? undefined : query)
  try {
    return decodeURIComponent(rest)
  } catch {
    throw refused('it holds a percent sign that encodes no UTF-8')
  }
}

function refused(why: string): BrokerError {
  return new BrokerError('invalid_argument', `not a canonical request target: ${why}`, {
    hint: 'percent-encode each segment of the name once and join them by single slashes, as in /v1/secrets/payments/stripe',
    detail: { reason: 'target_not_canonical' },
  })
}
