import { inspect } from 'node:util'

/**
 * The same object, which prints only what is given: variables put secrets into options and URLs, and an object that is logged
 * whole must not tell them. A copy by spread prints everything again.
 */
export function unprinted<T extends object>(object: T, shown: object): T {
  const hidden = { enumerable: false, value: () => shown }
  return Object.defineProperties(object, { toJSON: hidden, [inspect.custom]: hidden })
}
