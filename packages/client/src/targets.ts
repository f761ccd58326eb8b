import { nameInTarget, referenceInTarget } from '@keyturn/api'
import { failure } from './connection.ts'

/** The target of a secret by its name; `invalid_argument` for a name that the broker would refuse or a URL would change. */
export function ofName(prefix: string, name: string, query: Query = {}): string {
  const target = prefix + wellFormed(name).split('/').map(encodeURIComponent).join('/')
  nameInTarget(target, prefix)
  return target + queryOf(query)
}

/** The target of a secret by its name or its id (`sec_...`). */
export function ofReference(prefix: string, reference: string): string {
  const target = prefix + encodeURIComponent(wellFormed(reference))
  referenceInTarget(target, prefix)
  return target
}

/** The target of an operation or a token by its id. */
export function ofId(prefix: string, id: string, suffix = ''): string {
  if (/^[\w.-]{1,128}$/.test(id) && !/^\.+$/.test(id)) return prefix + id + suffix
  throw failure('invalid_argument', 'not an id: it has letters, digits and ._- only')
}

export type Query = Readonly<Record<string, string | number | undefined>>

export function queryOf(query: Query): string {
  const given = Object.entries(query).filter((entry): entry is [string, string | number] => entry[1] !== undefined)
  if (given.length === 0) return ''
  return `?${given.map(([key, value]) => `${key}=${encodeURIComponent(value)}`).join('&')}`
}

function wellFormed(text: string): string {
  if (text.isWellFormed()) return text
  throw failure('invalid_argument', 'not a name of a secret: it is no valid text')
}
