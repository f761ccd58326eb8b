export { classify } from './classify.ts'
export type { Environment } from './credential.ts'
export { type AzureAuth, type AzureOptions, holds, nameOf, options } from './options.ts'
export { open } from './store.ts'
