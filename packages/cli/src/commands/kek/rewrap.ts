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

/** Rows that somebody writes to all the time are skipped again and again; after so many passes a person decides. */
const passesMax = 3

/** `kek rewrap`: every wrap anew under the current KEK. */
export function rewrap({ terminal }: Setting): Command {
  return command('rewrap [options]', 'Closes every stored value under the current KEK; values and versions stay as they are', [
    'kek rewrap --wait',
    'kek rewrap --reason "v1 is due"',
  ])
    .option('--wait', 'ends when it is done: exit 0; rows could not be opened: 1; the KEK is not current yet: 7')
    .option('--reason <text>', 'for the record')
    .addOption(jsonOption())
    .addOption(tokenFileOption())
    .action(async (options: Options) => {
      const admin = brokerAdmin(terminal, options)
      const why = options.reason === undefined ? {} : { reason: options.reason }
      const json = options.json === true
      for (let pass = 1; ; pass += 1) {
        const accepted = await admin.rewrap(why)
        if (options.wait !== true) return printAccepted(terminal, accepted, json)
        const campaign = await followCampaign(terminal, admin, accepted.op_id, { json })
        if (!json) printCampaign(terminal, campaign)
        const code = codeOfCampaign(campaign)
        if (code !== exit.ok) throw new Exit(code)
        if (campaign.skipped === 0) return
        const stale = await staleRows()
        if (stale === 0) return
        terminal.err(`${stale} values were written under another KEK while it ran`)
        terminal.err(pass === passesMax ? '; run it again when less is written\n' : '; beginning the next pass\n')
        if (pass === passesMax) throw new Exit(exit.failed)
      }

      async function staleRows(): Promise<number> {
        const { stale_counts: counts } = await admin.kekStatus()
        return Object.values(counts).reduce((sum, count) => sum + count, 0)
      }
    })
}
