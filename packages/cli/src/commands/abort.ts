import type { Command } from 'commander'
import { type BrokerOptions, brokerClient } from '../broker-client.ts'
import { command, jsonOption, type Setting, tokenFileOption } from '../command.ts'
import { printAccepted } from '../operation-report.ts'

/** `abort OP`: ends what is not yet promoted. */
export function abort({ terminal }: Setting): Command {
  return command('abort OP [options]', 'Ends what is not yet promoted; current stays as it was', [
    'abort op_01JD8Z4T5V --reason "wrong secret"',
  ])
    .argument('<op>')
    .option('--reason <text>', 'for the record')
    .addOption(jsonOption())
    .addOption(tokenFileOption())
    .action(async (operation: string, options: BrokerOptions & { readonly reason?: string; readonly json?: boolean }) => {
      const reason = options.reason === undefined ? {} : { reason: options.reason }
      printAccepted(terminal, await brokerClient(terminal, options).abort(operation, reason), options.json)
    })
}
