import type { Command } from 'commander'
import { brokerClient } from '../broker-client.ts'
import { command, jsonOption, type Setting, tokenFileOption } from '../command.ts'
import { printJson, printRows } from '../print.ts'

/** `versions NAME`: newest first, never a value. */
export function versions({ terminal }: Setting): Command {
  return command('versions NAME [options]', 'Lists the versions of a secret, newest first, never a value', [
    'versions payments/stripe',
    'versions payments/stripe --json',
  ])
    .argument('<name>')
    .addOption(jsonOption())
    .addOption(tokenFileOption())
    .action(async (name: string, options: { readonly json?: boolean; readonly tokenFile?: string }) => {
      const answer = await brokerClient(terminal, options).versions(name)
      if (options.json === true) {
        printJson(terminal, answer)
        return
      }
      printRows(
        terminal,
        [
          { title: 'VERSION', of: row => row.version },
          { title: 'STATE', of: row => row.state },
          { title: 'CREATED', of: row => row.createdAt },
          { title: 'GRACE UNTIL', of: row => row.graceUntil ?? '-' },
          { title: 'STORE', of: row => row.store },
        ],
        answer.versions,
      )
    })
}
