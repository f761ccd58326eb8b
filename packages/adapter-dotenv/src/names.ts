import { BrokerError, type StorePath, secretName } from '@keyturn/core'

/** How variables are called: `same`, or `kebab`: `DATABASE_URL` is `database-url`. */
export type Naming = 'same' | 'kebab'

/** What npm `dotenv` reads as the name of a variable. */
const readable = /^[\w.-]+$/
/** What every parser, a shell and an environment take; an object of npm `dotenv` cannot hold `__proto__`. */
const writable = /^(?!__proto__$)[A-Za-z_]\w*$/
const nameBytesMax = 512

/**
 * The broker's name of a variable. With `kebab` only capitals change, and what already looks like such a name (`test-secret`)
 * is refused: it is the name of `TEST_SECRET`. `invalid_argument` for what no `.env` file can hold.
 */
export function nameOf(path: string, { names }: { readonly names: Naming }): string {
  checkReadable(path)
  if (names === 'same') return secretName(path)
  if (/^[A-Z0-9_]+$/.test(path)) return secretName(path.toLowerCase().replaceAll('_', '-'))
  if (/^[a-z0-9-]+$/.test(path)) {
    throw new BrokerError(
      'invalid_argument',
      `variable ${path} cannot have a name: with names: kebab, ${path} is the name of ${capitals(path)}`,
      {
        hint: `rename the variable to ${capitals(path)}, or write names: same`,
      },
    )
  }
  return secretName(path)
}

/** The variable of a name; `nameOf` gives the name back. */
export function pathOf(name: string, { names }: { readonly names: Naming }): StorePath {
  const path = names === 'kebab' && /^[a-z0-9-]+$/.test(name) ? capitals(name) : name
  if (nameOf(path, { names }) !== name) {
    throw new BrokerError(
      'invalid_argument',
      `no variable has the name ${name}: with names: kebab a name of capitals is written in small letters`,
    )
  }
  return path as StorePath
}

/** Refuses what npm `dotenv` cannot read as a name. */
export function checkReadable(path: string): void {
  if (readable.test(path) && path !== '__proto__') return
  throw new BrokerError('invalid_argument', `${shown(path)} is not the name of a variable`, {
    hint: 'use letters, digits and _, as in DATABASE_URL',
  })
}

/** Refuses what some parser, or a shell, cannot read as a name. */
export function checkWritable(path: string): void {
  if (writable.test(path) && path.length <= nameBytesMax) return
  throw new BrokerError(
    'invalid_argument',
    `${shown(path)} cannot be written: not every reader of a .env file takes it for the name of a variable`,
    {
      hint: 'use letters, digits and _, not starting with a digit, as in DATABASE_URL',
    },
  )
}

function capitals(name: string): string {
  return name.toUpperCase().replaceAll('-', '_')
}

function shown(path: string): string {
  return JSON.stringify(path.length > 60 ? `${path.slice(0, 60)}...` : path)
}
