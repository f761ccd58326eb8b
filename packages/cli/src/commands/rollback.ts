import type { Command } from 'commander'
import { type BrokerOptions, brokerClient } from '../broker-client.ts'
import { command, jsonOption, type Setting, tokenFileOption } from '../command.ts'
import { followOperation, printAccepted } from '../operation-report.ts'

interface Options extends BrokerOptions {
  readonly reason?: string
  readonly wait?: boolean
  readonly json?: boolean
}

/** `rollback NAME`: the previous version becomes current again. */
export function rollback({ terminal }: Setting): Command {
  return command('rollback NAME [options]', 'Makes the previous version current again, while it still verifies', [
    'rollback payments/stripe --wait --reason "checkout refuses the new key"',
  ])
    .argument('<name>')
    .option('--reason <text>', 'for the record')
    .option('--wait', 'ends when it is done')
    .addOption(jsonOption())
    .addOption(tokenFileOption())
    .action(async (name: string, options: Options) => {
      const client = brokerClient(terminal, options)
      const accepted = await client.rollback(name, options.reason === undefined ? {} : { reason: options.reason })
      if (options.wait === true) await followOperation(terminal, client, accepted.op_id, options)
      else printAccepted(terminal, accepted, options.json)
    })
}
