import { type Alphabet, BrokerError, escapedName, type StorePath, unescapedName } from '@keyturn/core'

/**
 * What Key Vault takes as the name of a secret. It takes `A` and `a` for one, so a capital stays itself in a plain name only.
 * https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#objects-identifiers-and-versioning
 */
const alphabet: Alphabet = { allowed: /^[0-9A-Za-z-]+$/, literal: /[0-9a-z]/ }
const nameLengthMax = 127

/**
 * The name of a path in the vault. A path that is such a name stays as it is; in any other a slash is `---`, and what Key Vault does not
 * take is `----` and two hex digits of a byte. A path that has no name there is `invalid_argument`.
 */
export function vaultName(path: string): string {
  if (path === '') throw refused(path, 'it is empty')
  if (isRefusedPlain(path)) {
    const meant = unescapedName(path, alphabet)
    throw refused(
      path,
      'three dashes in a row stand for a slash in names of azure',
      meant === undefined ? 'give the secret another name in azure: no path leads to this one' : `write ${JSON.stringify(meant)}`,
    )
  }
  const name = escapedName(path, alphabet)
  if (name.length > nameLengthMax)
    throw refused(path, `its name in azure would have ${name.length} characters, of at most ${nameLengthMax}`)
  return name
}

/** The path that a name in the vault belongs to; undefined for a name that no path has. */
export function pathOf(name: string): StorePath | undefined {
  const path = unescapedName(name, alphabet)
  if (path === undefined || isRefusedPlain(path)) return undefined
  // `vaultName` makes this name of it
  return path as StorePath
}

/** A name of the vault that would be taken for the escaped one of another path. */
function isRefusedPlain(path: string): boolean {
  return alphabet.allowed.test(path) && path.includes('---')
}

/** The broker's default name of a path: the path. */
export function nameOf(path: string): string {
  vaultName(path)
  return path
}

/** Two paths that Key Vault would take for one secret, if there are any. A path that has no name is not judged here. */
export function sameInVault(paths: readonly string[]): readonly [string, string] | undefined {
  const seen = new Map<string, string>()
  for (const path of paths) {
    const folded = nameIfAny(path)?.toLowerCase()
    if (folded === undefined) continue
    const other = seen.get(folded)
    if (other !== undefined && other !== path) return [other, path]
    seen.set(folded, path)
  }
  return undefined
}

function nameIfAny(path: string): string | undefined {
  try {
    return vaultName(path)
  } catch (error) {
    if (error instanceof BrokerError) return undefined
    throw error
  }
}

function refused(path: string, why: string, hint = 'write letters, digits and dashes, or segments of them joined by slashes'): BrokerError {
  return new BrokerError('invalid_argument', `not a path of azure: ${JSON.stringify(path.slice(0, 200))}: ${why}`, { hint })
}
