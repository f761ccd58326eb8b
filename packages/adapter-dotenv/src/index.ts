import type { OpenContext, StoreAdapter } from '@keyturn/core'
import type { DotenvOptions } from './options.ts'
import { DotenvStore } from './store.ts'

export { type DotenvOptions, nameOf, options, pathOf, paths } from './options.ts'

/** Opens a `.env` file as a store. Nothing is touched until the first call. */
export function open(options: DotenvOptions, context: OpenContext): StoreAdapter {
  return new DotenvStore(options, context)
}
