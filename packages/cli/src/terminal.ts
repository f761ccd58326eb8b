import type { Readable } from 'node:stream'

/** Everything that a command touches outside itself. Results go to `out`, all else to `err`. */
export interface Terminal {
  readonly env: NodeJS.ProcessEnv
  readonly cwd: string
  /** Whether a person sits there. */
  readonly isTerminal: { readonly stdin: boolean; readonly stdout: boolean; readonly stderr: boolean }
  /** Of the terminal behind stdout; 80 when it is none or does not say. */
  readonly columns: number
  readonly stdin: Readable
  out(text: string | Uint8Array): void
  err(text: string): void
  /** One line that is not shown while it is typed. `cancelled` when the person gives up. */
  askSecret(message: string): Promise<string>
  /** One line that is shown while it is typed. `cancelled` when the person gives up. */
  ask(message: string): Promise<string>
  confirm(message: string): Promise<boolean>
  /** Runs each time the system says that the terminal is gone or the config should be read again (SIGHUP); without it that ends the program. */
  onHangup(act: () => void): void
  /** Fires when the person or the system wants the command to end. */
  readonly signal: AbortSignal
}
