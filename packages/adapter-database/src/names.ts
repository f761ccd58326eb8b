import { type SecretName, type StorePath, secretName } from '@keyturn/core'

/** The broker's name of a path: the path itself, for this store is Keyturn's own. What is no name is refused with `invalid_argument`. */
export function nameOf(path: string): SecretName {
  return secretName(path)
}

/** The path of a name; `nameOf` gives the name back. */
export function pathOf(name: SecretName): StorePath {
  // both brands stand for the same text here
  return name as string as StorePath
}
