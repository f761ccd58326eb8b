export type { BrokerDoor, Examined, ExamineOnly, MadeToken, NamedFinding, OfflineToken, Running } from './broker-door.ts'
export { exit } from './exit.ts'
export { run } from './program.ts'
export type { Terminal } from './terminal.ts'
