export * from './admin.ts'
export * from './client.ts'
export type { CallOptions, ConnectionOptions, KeyturnError } from './connection.ts'
export * from './secrets.ts'
