export type { BrokerDoor } from './broker-door.ts'
export { exit } from './exit.ts'
export { run } from './program.ts'
export type { Terminal } from './terminal.ts'
