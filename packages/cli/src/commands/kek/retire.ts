import type { Command } from 'commander'
import { type BrokerOptions, brokerAdmin } from '../../broker-client.ts'
import { command, jsonOption, type Setting, tokenFileOption } from '../../command.ts'
import { printJson } from '../../print.ts'

interface Options extends BrokerOptions {
  readonly reason?: string
  readonly json?: boolean
}

/** `kek retire ID`: forbids a KEK that nothing needs. */
export function retire({ terminal }: Setting): Command {
  return command('retire ID [options]', 'Forbids a KEK for good; refused while anything needs it: exit 5', ['kek retire v1'])
    .argument('<id>')
    .option('--reason <text>', 'for the record')
    .addOption(jsonOption())
    .addOption(tokenFileOption())
    .action(async (id: string, options: Options) => {
      const moved = await brokerAdmin(terminal, options).retireKek(id, options.reason === undefined ? {} : { reason: options.reason })
      if (options.json === true) printJson(terminal, moved)
      else terminal.err(`KEK ${id} is ${moved.state}: take the key away; keep a copy for as long as you keep old copies of the database\n`)
    })
}
