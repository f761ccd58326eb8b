import type { Command } from 'commander'
import { command, configOption, jsonOption, type Setting } from '../command.ts'
import { readConfig } from '../config-file.ts'
import { printJson, printRows } from '../print.ts'

interface Options {
  readonly config?: string
  readonly json?: boolean
}

/** `migrate`: the schemas of a deployment, and nothing else. */
export function migrate({ terminal, openDoor }: Setting): Command {
  return command('migrate [options]', 'Brings the schemas of ledger and sealed stores up to date; no key is read', [
    'migrate --config keyturn.yaml   # with the URL of the role that owns the schemas',
  ])
    .addOption(configOption())
    .addOption(jsonOption())
    .action(async (options: Options) => {
      const door = await openDoor()
      const databases = await door.migrateDatabases(await readConfig(terminal, door, options.config))
      if (options.json === true) {
        printJson(terminal, { databases })
        return
      }
      printRows(
        terminal,
        [
          { title: 'NAME', of: row => row.name },
          { title: 'DATABASE', of: row => row.what },
          { title: 'BEFORE', of: row => (row.before === 0 ? 'none' : String(row.before)) },
          { title: 'NOW', of: row => String(row.now) },
        ],
        databases,
      )
    })
}
