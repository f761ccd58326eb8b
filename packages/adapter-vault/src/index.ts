export { classify } from './classify.ts'
export type { Environment } from './login.ts'
export { nameOf, options, type VaultAuth, type VaultOptions } from './options.ts'
export { open } from './store.ts'
