import { BrokerError } from '@keyturn/core'

/** The environment, as far as a namespace comes from it. */
type Environment = Readonly<Record<string, string | undefined>>

/** What a section says about its namespaces, and whether its token is that of `VAULT_TOKEN`. */
interface NamespaceOptions {
  readonly namespace?: string | undefined
  readonly auth?:
    | {
        readonly method: string
        readonly namespace?: string | undefined
        readonly token?: string | undefined
        readonly tokenFile?: string | undefined
      }
    | undefined
}

/** Where the secrets of a section lie, and where its login does. Undefined: in the server's root. */
export interface Namespaces {
  readonly secrets: string | undefined
  readonly login: string | undefined
}

/** The server's own name of what has no namespace around it. */
const root = 'root'
const pathMax = 512
/** No namespace can have these names. https://openbao.org/docs/concepts/namespaces/ */
const reserved: ReadonlySet<string> = new Set(['.', '..', root, 'sys', 'audit', 'auth', 'cubbyhole', 'identity'])
// what a header can carry and no path reads as syntax
const segment = /^(?:(?![\\%?#])[!-~])+$/

/** Why this is no path of a namespace; undefined when it is one. */
export function brokenNamespace(text: string): string | undefined {
  if (text === root) return undefined
  if (text === '') return 'it is empty'
  if (text.length > pathMax) return `it is longer than ${pathMax} characters`
  for (const part of text.split('/')) {
    if (part === '') return 'it has an empty segment, or a slash at an end'
    if (reserved.has(part)) return `no namespace can be called ${part}`
    if (!segment.test(part)) return 'it holds white space, one of \\ % ? #, or a character that is not ASCII'
  }
  return undefined
}

/**
 * What the section says; where it takes its token from `VAULT_TOKEN` and is silent, `VAULT_NAMESPACE`, which belongs to that token.
 * `invalid_argument` when that is no namespace: to go on in the root would be another place than was meant.
 */
export function namespacesOf({ namespace, auth }: NamespaceOptions, env: Environment): Namespaces {
  const byVariable = auth === undefined || (auth.method === 'token' && auth.token === undefined && auth.tokenFile === undefined)
  const secrets = namespace ?? (byVariable ? ofVariable(env.VAULT_NAMESPACE) : undefined)
  return { secrets: sent(secrets), login: sent(auth?.namespace ?? secrets) }
}

/** The tools that read this variable take slashes around it, and empty as not set. */
function ofVariable(text: string | undefined): string | undefined {
  const path = text?.replace(/^\/|\/$/g, '') ?? ''
  if (path === '') return undefined
  const broken = brokenNamespace(path)
  if (broken === undefined) return path
  throw new BrokerError('invalid_argument', `vault: VAULT_NAMESPACE is no path of a namespace: ${broken}`, {
    hint: 'correct the variable, or say namespace in the section',
  })
}

function sent(namespace: string | undefined): string | undefined {
  return namespace === root ? undefined : namespace
}
