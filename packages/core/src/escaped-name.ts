import { BrokerError } from './error.ts'

/** What a backend's own names may be made of. */
export interface Alphabet {
  /** A whole name that the backend takes as it is. It must allow dashes and the letters and digits of `literal`. */
  readonly allowed: RegExp
  /** One character that stays itself in an escaped name. Leave capitals out where the backend takes `A` and `a` for one. */
  readonly literal: RegExp
}

const escapedMark = /-{3}/
const utf8 = new TextEncoder()
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * A path as a name of a backend that knows no folders, so that no two paths ever meet. A path that is such a name already, without three dashes
 * in a row, stays as it is. In any other a slash is `---`, and a byte that the alphabet lacks is `----` and two hex digits of its UTF-8:
 * `prod/payments/stripe-key` is `prod---payments---stripe-key`. `invalid_argument` for text with a lone surrogate.
 */
export function escapedName(path: string, { allowed, literal }: Alphabet): string {
  if (allowed.test(path) && !escapedMark.test(path)) return path
  if (!path.isWellFormed()) throw new BrokerError('invalid_argument', 'a path is text, and this holds half a character')
  const characters = [...path]
  let name = ''
  for (const [at, character] of characters.entries()) {
    const next = characters[at + 1]
    // a mark that another one follows would run into it
    const isApart = next !== undefined && literal.test(next)
    if (literal.test(character)) name += character
    else if (character === '/' && isApart) name += '---'
    else if (character === '-' && isApart) name += '-'
    else name += escapedBytes(character)
  }
  return name
}

/** The path whose `escapedName` this is; undefined for a name that is nobody's. */
export function unescapedName(name: string, alphabet: Alphabet): string | undefined {
  const path = escapedMark.test(name) ? decoded(name) : name
  return path !== undefined && escapedName(path, alphabet) === name ? path : undefined
}

function escapedBytes(character: string): string {
  return [...utf8.encode(character)].map(byte => `----${byte.toString(16).padStart(2, '0')}`).join('')
}

function decoded(name: string): string | undefined {
  const bytes: number[] = []
  for (const [, hex, slash, dash, other] of name.matchAll(/----([0-9a-f]{2})|(---)|(-)|([^-])/g)) {
    if (hex !== undefined) bytes.push(Number.parseInt(hex, 16))
    else bytes.push(...utf8.encode(slash === undefined ? (dash ?? other) : '/'))
  }
  try {
    return strict.decode(Uint8Array.from(bytes))
  } catch {
    return undefined
  }
}
