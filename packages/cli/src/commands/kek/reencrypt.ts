import type { Command } from 'commander'
import { type BrokerOptions, brokerAdmin } from '../../broker-client.ts'
import { codeOfCampaign, followCampaign, printCampaign } from '../../campaign-report.ts'
import { command, jsonOption, type Setting, tokenFileOption } from '../../command.ts'
import { Exit, exit } from '../../exit.ts'
import { printAccepted } from '../../operation-report.ts'

interface Options extends BrokerOptions {
  readonly wait?: boolean
  readonly reason?: string
  readonly json?: boolean
}

/** `kek reencrypt`: every stored value encrypted anew. */
export function reencrypt({ terminal }: Setting): Command {
  return command('reencrypt [options]', 'Encrypts every stored value anew, with a new key of its own: after a KEK was exposed', [
    'kek reencrypt --wait --reason "v1 was copied"',
  ])
    .option('--wait', 'ends when it is done: exit 0; rows could not be opened: 1; the KEK is not current yet: 7')
    .option('--reason <text>', 'for the record')
    .addOption(jsonOption())
    .addOption(tokenFileOption())
    .action(async (options: Options) => {
      const admin = brokerAdmin(terminal, options)
      const json = options.json === true
      const accepted = await admin.reencrypt(options.reason === undefined ? {} : { reason: options.reason })
      if (options.wait !== true) return printAccepted(terminal, accepted, json)
      const campaign = await followCampaign(terminal, admin, accepted.op_id, { json })
      if (!json) printCampaign(terminal, campaign)
      const code = codeOfCampaign(campaign)
      if (code !== exit.ok) throw new Exit(code)
    })
}
