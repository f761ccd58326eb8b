import type { Command } from 'commander'
import { type BrokerOptions, brokerAdmin } from '../../broker-client.ts'
import { command, jsonOption, type Setting, tokenFileOption } from '../../command.ts'
import { printJson } from '../../print.ts'

interface Options extends BrokerOptions {
  readonly reason?: string
  readonly json?: boolean
}

/** `kek compromise ID`: notes that somebody else may know a KEK. */
export function compromise({ terminal }: Setting): Command {
  return command('compromise ID [options]', 'Notes that somebody else may know a KEK; promote another one first', [
    'kek compromise v1 --reason "the env file was in a public bucket"',
  ])
    .argument('<id>')
    .option('--reason <text>', 'for the record')
    .addOption(jsonOption())
    .addOption(tokenFileOption())
    .action(async (id: string, options: Options) => {
      const moved = await brokerAdmin(terminal, options).compromiseKek(id, options.reason === undefined ? {} : { reason: options.reason })
      if (options.json === true) printJson(terminal, moved)
      else {
        terminal.err(`KEK ${id} is ${moved.state}: it opens, and closes nothing any more\n`)
        terminal.err('next: keyturn kek reencrypt --wait, then keyturn rotate --all --compromise\n')
      }
    })
}
