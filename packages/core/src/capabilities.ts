import type { StoreAdapter } from './store-adapter.ts'

/** What a store can do beyond reading, writing and listing; the first two are guarantees, the rest are members. */
export const capabilities = [
  'cas',
  'idempotent',
  'stages',
  'versions',
  'disable',
  'enable',
  'destroy',
  'delete',
  'restore',
  'watch',
] as const

/** One of `capabilities`. */
export type Capability = (typeof capabilities)[number]

/** Derived, never declared: a member that exists works. */
export function capabilitiesOf(adapter: StoreAdapter): ReadonlySet<Capability> {
  return new Set(
    capabilities.filter(name => (name === 'cas' || name === 'idempotent' ? adapter.guarantees[name] : adapter[name] !== undefined)),
  )
}
