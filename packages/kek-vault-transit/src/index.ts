export { openVaultTransit, type TransitOptions } from './transit.ts'
