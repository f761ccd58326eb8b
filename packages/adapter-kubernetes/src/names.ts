import { type Alphabet, BrokerError, escapedName, type StorePath, unescapedName } from '@keyturn/core'

/** A Secret's place in a cluster, in the API's own words. */
export interface Place {
  readonly namespace: string
  readonly name: string
}

/** What a section names: whole paths, and prefixes, which are empty or end in a slash. */
export interface Named {
  readonly path?: string | undefined
  readonly under?: string | undefined
}

const pathBytesMax = 1_024
// https://kubernetes.io/docs/concepts/overview/working-with-objects/names/: a namespace is a label, a Secret a subdomain
const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const subdomain = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/
// a dot stays itself only in a name that needs no escape: a dash next to it would make no subdomain
const alphabet: Alphabet = { allowed: subdomain, literal: /[a-z0-9]/ }

/** Paths of one section and their places. What the config names by `path` is taken as it is; what `under` adds is escaped where the API needs it. */
export class Places {
  /** `namespace/name` as the config has them: their names are never read as escapes. */
  readonly #literal: ReadonlySet<string>

  constructor(named: readonly Named[] = []) {
    const paths = named.flatMap(({ path }) => path ?? []).filter(path => path !== '' && !path.endsWith('/'))
    this.#literal = new Set(paths.filter(path => wholePath(path) !== undefined))
  }

  /** The place of a path; `invalid_argument` for what no Secret can be called. */
  of(path: string): Place {
    const literal = this.#literal.has(path) ? wholePath(path) : undefined
    if (literal !== undefined) return literal
    const slash = path.indexOf('/')
    const [namespace, rest] = slash < 0 ? ['', path] : [path.slice(0, slash), path.slice(slash + 1)]
    if (Buffer.byteLength(path) > pathBytesMax) throw refused(path, `it is longer than ${pathBytesMax} bytes`)
    if (!label.test(namespace)) throw refused(path, 'it does not start with a namespace: at most 63 of a-z, 0-9 and -')
    if (rest === '') throw refused(path, 'it names no Secret')
    const name = escapedName(rest, alphabet)
    if (!subdomain.test(name)) {
      throw refused(path, 'its name would not start and end with a letter or digit, or would be longer than 253 characters')
    }
    if (name !== rest && this.#literal.has(`${namespace}/${name}`)) {
      throw refused(path, `it would be kept as ${namespace}/${name}, which the config names as a secret of its own`)
    }
    return { namespace, name }
  }

  /** The other way round, for what a list found; undefined for a Secret that no path of this section means. */
  pathOf({ namespace, name }: Place): StorePath | undefined {
    const literal = `${namespace}/${name}` as StorePath
    if (this.#literal.has(literal)) return literal
    const rest = unescapedName(name, alphabet)
    return rest === undefined ? undefined : (`${namespace}/${rest}` as StorePath)
  }
}

/** The namespace that a prefix lies in; undefined when it may cover several. `invalid_argument` for one that covers nothing. */
export function namespaceOf(prefix: string): string | undefined {
  const slash = prefix.indexOf('/')
  if (slash < 0) return undefined
  const namespace = prefix.slice(0, slash)
  if (!label.test(namespace)) throw refused(prefix, 'a prefix starts with a namespace and a slash, as in shop/')
  return namespace
}

/** The broker's default name of a path: the path itself, so that two namespaces never share a name. A namespace alone is what `under` gives. */
export function nameOf(path: string): string {
  if (path === '')
    throw refused(path, 'it is every namespace, which gives no name', 'write name: beside it; empty, the names are the paths')
  if (!path.includes('/')) {
    if (!label.test(path)) throw refused(path, 'it is no namespace')
    return path
  }
  new Places().of(path)
  return path
}

/** Why an entry of a section is none; undefined when it is one. */
export function entryRefusal({ path, under }: Named): string | undefined {
  if (path !== undefined && wholePath(path) === undefined) return 'a path is NAMESPACE/NAME as the cluster has them, as in shop/stripe'
  if (under === undefined || under === '') return undefined
  const namespace = under.split('/', 1)[0] ?? ''
  return label.test(namespace) ? undefined : 'a prefix starts with a namespace, as in shop/'
}

/** A path that is `namespace/name` as the API has it. */
function wholePath(path: string): Place | undefined {
  const [namespace = '', name = '', ...more] = path.split('/')
  return more.length === 0 && label.test(namespace) && subdomain.test(name) ? { namespace, name } : undefined
}

function refused(path: string, why: string, hint = 'write NAMESPACE/NAME as the cluster has them, as in shop/stripe'): BrokerError {
  return new BrokerError('invalid_argument', `not a path of kubernetes: ${JSON.stringify(path.slice(0, 200))}: ${why}`, { hint })
}
