export { migrate } from './migrate.ts'
export { pathOf } from './names.ts'
export { type DatabaseOptions, nameOf, options } from './options.ts'
export { open } from './store.ts'
