import { BrokerError, secretName } from '@keyturn/core'

/**
 * A set of names: segments one by one, `null` for any one segment; then, where there is a `rest`, a last segment that starts
 * with it and whatever is below.
 */
export interface NamePattern {
  readonly segments: readonly (string | null)[]
  readonly rest: string | null
}

/** Every name there can be, and the broker itself: what a rule without `secrets` means. */
export const everything: NamePattern = { segments: [], rest: '' }

/** Why a pattern is none, and what to write. */
export interface BadPattern {
  readonly message: string
  readonly remedy: string
}

/** Reads `payments/*`, `+/db`, `shop/app-*`, `*`: a star as the last character only, a plus as a whole segment only. */
export function readPattern(text: string): NamePattern | BadPattern {
  const open = text.endsWith('*')
  const head = open ? text.slice(0, -1) : text
  const wrong = misplaced(text, head) ?? uncanonical(head, open)
  if (wrong !== undefined) return wrong
  const segments = head.split('/').map(segment => (segment === '+' ? null : segment))
  if (!open) return { segments, rest: null }
  return { segments: segments.slice(0, -1), rest: segments.at(-1) ?? '' }
}

function misplaced(text: string, head: string): BadPattern | undefined {
  if (text === '') return { message: 'an empty pattern matches no name', remedy: 'write a name, or * for every name' }
  if (text.endsWith('**')) {
    return { message: '** is no pattern: one star already covers every level below', remedy: `write ${quoted(text.replace(/\*+$/, '*'))}` }
  }
  if (head.includes('*')) {
    return {
      message: 'a star stands only at the end, where it is the rest of the name',
      remedy: `write + for one whole segment, as in ${quoted(head.replace(/[^/]*\*[^/]*/g, '+') + text.slice(head.length))}`,
    }
  }
  if (text === '+*' || text.endsWith('/+*')) {
    return {
      message: '+* mixes one segment and the rest',
      remedy: `write ${quoted(`${text.slice(0, -1)}/*`)} or ${quoted(`${text.slice(0, -2)}*`)}`,
    }
  }
  return undefined
}

// a pattern that no canonical name can match is a mistake, not a rule that never holds
function uncanonical(head: string, open: boolean): BadPattern | undefined {
  if (head.startsWith('/'))
    return { message: 'a name does not start with a slash', remedy: `write ${quoted(head.replace(/^\/+/, '') + (open ? '*' : ''))}` }
  if (!open && head.endsWith('/'))
    return { message: 'a name does not end with a slash', remedy: `write ${quoted(`${head.replace(/\/+$/, '')}/*`)} for all below it` }
  try {
    // the x stands for the rest, so that `a/` and `a/.` are judged by what they can become
    secretName(open ? `${head}x` : head)
    return undefined
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error
    return {
      message: error.message.replace('not a name of a secret', 'no name of a secret can match'),
      remedy: error.hint ?? 'write names of secrets',
    }
  }
}

const quoted = (text: string) => JSON.stringify(text)
