import type { Restore, RestorePlan, RestoreRow } from '@keyturn/broker'
import type { Command } from 'commander'
import { command, configOption, jsonOption, type Setting } from '../command.ts'
import { readConfig } from '../config-file.ts'
import { Exit, exit } from '../exit.ts'
import { RestoreReport } from '../restore-report.ts'
import type { Terminal } from '../terminal.ts'

interface Options {
  readonly config?: string
  readonly to?: string
  readonly dryRun?: boolean
  readonly overwrite?: boolean
  readonly partial?: boolean
  readonly yes?: boolean
  readonly json?: boolean
}

/** `restore BUNDLE`: secrets from a sealed bundle back into a sealed store, or a drill that only opens them. */
export function restore({ terminal, openDoor }: Setting): Command {
  return command('restore BUNDLE [options]', 'Brings back what a backup holds; with --dry-run it opens every value and changes nothing', [
    'restore bak_01JD8Z4T5V9QW3R7XK2M6N8P0A --dry-run   # the drill: exit 0 only if everything opens',
    'restore /mnt/backups/bak_01JD8Z4T5V9QW3R7XK2M6N8P0A.jsonl --config keyturn.yaml',
    'restore bak_01JD8Z4T5V9QW3R7XK2M6N8P0A --overwrite --yes',
  ])
    .argument('<bundle>', 'its file, or its id where it lies in the folder of the config')
    .option('--dry-run', 'opens every value and says what a restore would change; exit 1 if anything does not open')
    .option('--to <store>', 'the sealed store to restore to (default: the one that it was taken from)')
    .option('--overwrite', 'where another value is there, adds the one of the bundle as a new version')
    .option('--partial', 'restores what is whole from a damaged bundle, and secrets without versions that do not open')
    .option('--yes', 'does not ask on a terminal')
    .addOption(configOption())
    .addOption(jsonOption())
    .action(async (bundle: string, options: Options) => {
      const door = await openDoor()
      const config = await readConfig(terminal, door, options.config)
      const { env, signal } = terminal
      const isDrill = options.dryRun === true
      const opened = await door.openRestore(
        {
          config,
          bundle,
          ...(options.to === undefined ? {} : { to: options.to }),
          overwrite: options.overwrite === true,
          partial: options.partial === true,
          env,
          signal,
        },
        isDrill,
      )
      try {
        const report = new RestoreReport(terminal, options.json === true)
        const plan = await drilled(opened, report)
        if (isDrill) throw new Exit(plan.isWhole ? exit.ok : exit.failed)
        await mustAgree(terminal, plan, options)
        await carriedOut(opened, report)
      } finally {
        await opened.close()
      }
    })
}

async function drilled(opened: Restore, report: RestoreReport): Promise<RestorePlan> {
  const rows: RestoreRow[] = []
  const plan = await opened.drill(row => {
    rows.push(row)
    report.row('plan', row)
  })
  report.plan(plan, rows)
  return plan
}

async function carriedOut(opened: Restore, report: RestoreReport): Promise<void> {
  const results: RestoreRow[] = []
  const wrong: RestoreRow[] = []
  let isDone = false
  try {
    await opened.run(row => {
      results.push(row)
      report.row('result', row)
    })
    const left = new Set(results.filter(({ action, versions }) => action === 'left' || action === 'failed' || versions === 0).map(keyOf))
    await opened.verify(row => {
      if (left.has(keyOf(row))) return
      wrong.push(row)
      report.row('verify', row)
    })
    isDone = true
  } finally {
    // what was done is told also when the rest could not be
    if (isDone || results.length > 0) report.end(results, wrong, opened.audits)
  }
  const isFailed = results.some(({ action, versions }) => action === 'failed' || (action === 'different' && versions === 0))
  if (isFailed || wrong.length > 0) throw new Exit(exit.failed)
}

const keyOf = ({ store, name }: RestoreRow) => `${store}\0${name}`

/** A person says yes to what is to be written; a script has said so by calling. */
async function mustAgree(terminal: Terminal, { changes }: RestorePlan, options: Options): Promise<void> {
  const count = (changes?.new ?? 0) + (changes?.behind ?? 0) + (options.overwrite === true ? (changes?.different ?? 0) : 0)
  if (count === 0 || options.yes === true || !terminal.isTerminal.stdin) return
  if (!(await terminal.confirm(`Restore ${count} secrets?`))) throw new Exit(exit.failed)
}
