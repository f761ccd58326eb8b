import { BrokerError } from '@keyturn/core'
import { Command, CommanderError } from 'commander'
import { openDoor } from './broker-door.ts'
import type { Setting } from './command.ts'
import { abort } from './commands/abort.ts'
import { audit } from './commands/audit.ts'
import { backup } from './commands/backup.ts'
import { check } from './commands/check.ts'
import { config } from './commands/config.ts'
import { copy } from './commands/copy.ts'
import { remove } from './commands/delete.ts'
import { doctor } from './commands/doctor.ts'
import { get } from './commands/get.ts'
import { importSecrets } from './commands/import.ts'
import { kek } from './commands/kek.ts'
import { list } from './commands/list.ts'
import { migrate } from './commands/migrate.ts'
import { restore } from './commands/restore.ts'
import { retry } from './commands/retry.ts'
import { rollback } from './commands/rollback.ts'
import { rotate } from './commands/rotate.ts'
import { serve } from './commands/serve.ts'
import { set } from './commands/set.ts'
import { status } from './commands/status.ts'
import { token } from './commands/token.ts'
import { versions } from './commands/versions.ts'
import { Exit, errorText, exit, exitCodeOf } from './exit.ts'
import type { Terminal } from './terminal.ts'
import { version } from './version.ts'

const commands = [
  serve,
  check,
  config,
  get,
  set,
  remove,
  copy,
  importSecrets,
  list,
  versions,
  rotate,
  status,
  rollback,
  abort,
  retry,
  backup,
  restore,
  kek,
  token,
  audit,
  doctor,
  migrate,
]

const environment = `
Environment:
  KEYTURN_ADDR    the broker (default http://127.0.0.1:8320)
  KEYTURN_TOKEN   the token; or --token-file
  KEYTURN_CONFIG  the config file, for commands that read one

Exit codes: 0 ok, 1 failed, 2 wrong use or invalid config, 3 denied, 4 not found, 5 conflict, 6 unavailable, 7 needs a person
`

/** Runs one command line, without the program's own name, and answers its exit code. Never throws. */
export async function run(argv: readonly string[], terminal: Terminal, door: Setting['openDoor'] = openDoor): Promise<number> {
  try {
    await program({ terminal, openDoor: door }).parseAsync([...argv], { from: 'user' })
    return exit.ok
  } catch (error) {
    return told(error, terminal)
  }
}

function program(setting: Setting): Command {
  const { terminal } = setting
  const root = new Command('keyturn').description('A secrets broker with a rotation engine.').version(version)
  // or `get NAME --version 7` would print the version of the command line
  root.enablePositionalOptions()
  root.addHelpText('after', environment)
  for (const make of commands) root.addCommand(make(setting))
  const settle = (command: Command): void => {
    command
      .exitOverride()
      .configureOutput({ writeOut: terminal.out, writeErr: terminal.err, getOutHelpWidth: () => terminal.columns })
      .showSuggestionAfterError()
      .allowExcessArguments(false)
    for (const child of command.commands) settle(child)
  }
  settle(root)
  return root
}

function told(error: unknown, terminal: Terminal): number {
  if (error instanceof Exit) return error.code
  if (error instanceof CommanderError) return error.exitCode === 0 ? exit.ok : exit.use
  if (error instanceof BrokerError) {
    terminal.err(`${errorText(error)}\n`)
    if (error.code === 'unauthenticated') terminal.err(tokenHint)
    return exitCodeOf(error)
  }
  // an unexpected error may hold anything in its message: its kind and its place are enough to report it
  const { name, stack = '' } = error instanceof Error ? error : new Error('unknown')
  const places = stack.split('\n').filter(line => line.startsWith('    at '))
  terminal.err(`keyturn: an error of keyturn itself: ${name}\n${places.slice(0, 5).join('\n')}\n`)
  return exit.failed
}

const tokenHint = '  set KEYTURN_TOKEN or --token-file; the first start of a broker writes one to admin.token in its data folder\n'
