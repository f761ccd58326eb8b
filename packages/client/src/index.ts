export * from './client.ts'
export type { CallOptions, ConnectionOptions, KeyturnError } from './connection.ts'
export * from './secrets.ts'
