export { classify } from './classify.ts'
export { type AwsAuth, type AwsOptions, holds, nameOf, options } from './options.ts'
export type { Environment } from './profile.ts'
export { open } from './store.ts'
