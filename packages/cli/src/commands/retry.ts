import type { Command } from 'commander'
import { type BrokerOptions, brokerClient } from '../broker-client.ts'
import { command, jsonOption, type Setting, tokenFileOption } from '../command.ts'
import { followOperation, printAccepted } from '../operation-report.ts'

interface Options extends BrokerOptions {
  readonly reason?: string
  readonly wait?: boolean
  readonly json?: boolean
}

/** `retry OP`: goes on at once. */
export function retry({ terminal }: Setting): Command {
  return command('retry OP [options]', 'Goes on at once where an operation waits or needs attention', ['retry op_01JD8Z4T5V --wait'])
    .argument('<op>')
    .option('--reason <text>', 'for the record')
    .option('--wait', 'ends when it is done')
    .addOption(jsonOption())
    .addOption(tokenFileOption())
    .action(async (operation: string, options: Options) => {
      const client = brokerClient(terminal, options)
      const accepted = await client.retry(operation, options.reason === undefined ? {} : { reason: options.reason })
      if (options.wait === true) await followOperation(terminal, client, accepted.op_id, options)
      else printAccepted(terminal, accepted, options.json)
    })
}
