export type * from './input.ts'
export * from './policy.ts'
