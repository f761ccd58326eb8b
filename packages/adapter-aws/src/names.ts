import { BrokerError } from '@keyturn/core'

/** What an ARN of a secret says. `name` is without the six random characters that AWS adds. */
export interface Arn {
  readonly region: string
  readonly name: string
}

// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html: letters, digits and /_+=.@-, at most 512
const plainName = /^[\w/+=.@-]{1,512}$/
/** A secret that a service of AWS made, as in `rds!db-1234`: it is read here, and written by that service. */
const managedName = /^[a-z][a-z0-9-]{0,63}![\w/+=.@-]{1,447}$/
/** As in `eu-central-1`. */
export const regionForm = /^[a-z]{2}(?:-[a-z0-9]+)+$/
const wholeArn = /^arn:aws[a-z-]*:secretsmanager:([a-z0-9-]+):\d{12}:secret:(.+)-[A-Za-z0-9]{6}$/

/** A path of this store, checked: the id of a secret or its whole ARN, used as it is. Anything else is `invalid_argument`. */
export function secretId(path: string): string {
  if (path.startsWith('arn:')) arnOf(path)
  else if (!plainName.test(path) && !managedName.test(path)) throw refused(path, brokenRule(path))
  return path
}

/** A path under which a secret can be made: a name of our own, not an ARN and not one of a service. */
export function creatableName(path: string): string {
  if (plainName.test(path)) return path
  throw refused(path, 'a secret is made under a name of its own', 'write a name, as in prod/payments/stripe, and not an ARN')
}

/** Reads a whole ARN; undefined for a path that is none. Without its six random characters an ARN may name another secret. */
export function arnOf(path: string): Arn | undefined {
  if (!path.startsWith('arn:')) return undefined
  const [, region, name] = wholeArn.exec(path) ?? []
  if (region === undefined || name === undefined || (!plainName.test(name) && !managedName.test(name))) {
    throw refused(
      path,
      'it is no whole ARN of a secret',
      'write the ARN with the hyphen and six characters at its end, or the name of the secret',
    )
  }
  return { region, name }
}

/** A prefix to list: empty, or what names begin with. */
export function listPrefix(prefix: string): string {
  if (prefix === '' || plainName.test(prefix) || managedName.test(`${prefix}x`)) return prefix
  throw refused(prefix, prefix.startsWith('arn:') ? 'a list is asked for by the beginning of names' : brokenRule(prefix))
}

/** The broker's default name of a path: of an ARN, the name in it. */
export function nameOf(path: string): string {
  return arnOf(path)?.name ?? secretId(path)
}

function brokenRule(path: string): string {
  if (path === '') return 'it is empty'
  if (path.length > 512) return 'it is longer than 512 characters'
  return 'it holds something else than letters, digits and /_+=.@-'
}

function refused(path: string, why: string, hint = 'write the name of the secret, as in prod/payments/stripe, or its ARN'): BrokerError {
  return new BrokerError('invalid_argument', `not a secret of aws: ${JSON.stringify(path.slice(0, 200))}: ${why}`, { hint })
}
