import type { SecretRow } from '@keyturn/client'
import type { Command } from 'commander'
import { brokerClient } from '../broker-client.ts'
import { command, jsonOption, type Setting, tokenFileOption } from '../command.ts'
import { printJson, printRows } from '../print.ts'

/** `list [PREFIX]`: names and metadata, never values. */
export function list({ terminal }: Setting): Command {
  return command('list [PREFIX] [options]', 'Lists the secrets that you may see, never a value', [
    'list',
    'list payments/',
    "list --json | jq -r '.secrets[].name'",
  ])
    .argument('[prefix]')
    .addOption(jsonOption())
    .addOption(tokenFileOption())
    .action(async (prefix: string | undefined, options: { readonly json?: boolean; readonly tokenFile?: string }) => {
      const secrets: SecretRow[] = []
      const client = brokerClient(terminal, options)
      for await (const row of client.list({ limit: 1000, ...(prefix === undefined ? {} : { prefix }) })) secrets.push(row)
      if (options.json === true) {
        printJson(terminal, { secrets })
        return
      }
      printRows(
        terminal,
        [
          { title: 'NAME', of: row => row.name },
          { title: 'TYPE', of: row => row.type },
          { title: 'STORE', of: row => row.store ?? '-' },
          { title: 'OWNER', of: row => row.owner ?? '-' },
          {
            title: 'LABELS',
            of: row =>
              Object.entries(row.labels)
                .map(([key, value]) => `${key}=${value}`)
                .join(',') || '-',
          },
        ],
        secrets,
      )
    })
}
