import { parseDuration } from '@keyturn/config'
import { type Command, Command as Group } from 'commander'
import { type BrokerOptions, brokerAdmin } from '../broker-client.ts'
import { command, jsonOption, type Setting, tokenFileOption } from '../command.ts'
import { away, printJson, printRows } from '../print.ts'

interface CreateOptions extends BrokerOptions {
  readonly reason?: string
  readonly keep?: string
  readonly json?: boolean
}

/** `backup create|list`. */
export function backup(setting: Setting): Command {
  return new Group('backup')
    .description('Makes and lists sealed bundles of every version that the broker keeps itself')
    .addCommand(create(setting))
    .addCommand(list(setting))
}

function create({ terminal }: Setting): Command {
  return command('create [options]', 'Writes a sealed bundle to the disk of the broker, and prints its id', [
    'backup create --reason "before the move"',
    'backup create --keep 365d',
    'backup create --keep forever --json',
  ])
    .option('--reason <text>', 'why, for the list and the record')
    .option('--keep <duration>', 'how long it is kept, such as 90d, or forever (default: as the config says)')
    .addOption(jsonOption())
    .addOption(tokenFileOption())
    .action(async (options: CreateOptions) => {
      const { reason, keep } = options
      const keepFor = keep === undefined ? undefined : keep === 'forever' ? null : Math.ceil(parseDuration(keep) / 1000)
      const made = await brokerAdmin(terminal, options).createBackup({
        ...(reason === undefined ? {} : { reason }),
        ...(keepFor === undefined ? {} : { keepFor }),
      })
      if (options.json === true) {
        printJson(terminal, made)
        return
      }
      terminal.err(`${made.versions} versions in ${made.file} on ${made.host}; opens with ${keksOf(made.keks)}\n`)
      terminal.out(`${made.id}\n`)
    })
}

function list({ terminal }: Setting): Command {
  return command('list [options]', 'Lists the bundles, the oldest first, and which KEKs they need', [
    'backup list',
    "backup list --json | jq -r '.backups[-1].file'",
  ])
    .addOption(jsonOption())
    .addOption(tokenFileOption())
    .action(async (options: BrokerOptions & { readonly json?: boolean }) => {
      const backups = await brokerAdmin(terminal, options).backups()
      if (options.json === true) {
        printJson(terminal, { backups })
        return
      }
      const now = new Date()
      printRows(
        terminal,
        [
          { title: 'ID', of: row => row.id },
          { title: 'MADE', of: row => (terminal.isTerminal.stdout ? away(row.created_at, now) : row.created_at) },
          { title: 'VERSIONS', of: row => String(row.versions) },
          { title: 'KEKS', of: row => Object.keys(row.keks).join(',') },
          { title: 'KEPT UNTIL', of: row => row.keep_until ?? 'removed' },
          { title: 'HOST', of: row => row.host },
          { title: 'FILE', of: row => `${row.file}${row.present === false ? ' (missing)' : ''}` },
          { title: 'REASON', of: row => row.reason },
        ],
        backups,
      )
    })
}

const keksOf = (keks: Readonly<Record<string, number>>) => `KEK ${Object.keys(keks).join(', ')}`
