import type { Command } from 'commander'
import { brokerClient } from '../broker-client.ts'
import { command, type Setting, tokenFileOption } from '../command.ts'
import { Exit, exit } from '../exit.ts'

/** `delete NAME`: recoverable where the store can. */
export function remove({ terminal }: Setting): Command {
  return command('delete NAME [options]', 'Takes a secret away, recoverably where its store can', [
    'delete payments/old-key',
    'delete payments/old-key --yes',
  ])
    .argument('<name>')
    .option('--yes', 'does not ask on a terminal')
    .addOption(tokenFileOption())
    .action(async (name: string, options: { readonly yes?: boolean; readonly tokenFile?: string }) => {
      const asks = terminal.isTerminal.stdin && options.yes !== true
      if (asks && !(await terminal.confirm(`Delete ${name}, with all of its versions?`))) throw new Exit(exit.failed)
      await brokerClient(terminal, options).delete(name)
      terminal.err(`deleted ${name}\n`)
    })
}
