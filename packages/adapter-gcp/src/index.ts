export { classify } from './classify.ts'
export type { Environment } from './credential.ts'
export { type GcpAuth, type GcpOptions, nameOf, options } from './options.ts'
export { open } from './store.ts'
