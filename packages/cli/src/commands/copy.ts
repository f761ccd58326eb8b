import type { Copying, CopyPlan, CopyResult, CopyRow } from '@keyturn/broker'
import { type Config, nearest } from '@keyturn/config'
import type { Command } from 'commander'
import { command, configOption, gather, jsonOption, type Setting } from '../command.ts'
import { readConfig } from '../config-file.ts'
import { CopyReport } from '../copy-report.ts'
import { Exit, exit, wrongUse } from '../exit.ts'
import type { Terminal } from '../terminal.ts'

interface Options {
  readonly config?: string
  readonly toConfig?: string
  readonly only?: readonly string[]
  readonly versions?: boolean
  readonly verify?: boolean
  readonly plan?: boolean
  readonly yes?: boolean
  readonly json?: boolean
}

/** `copy FROM TO`: secrets from one store of a config to another, without showing one. */
export function copy({ terminal, openDoor }: Setting): Command {
  return command('copy FROM TO [options]', 'Copies secrets from one store to another; shows its plan first, and never a value', [
    'copy vault aws-eu --plan',
    'copy vault aws-eu --versions --verify',
    'copy dotenv database --only payments/ --yes',
    'copy vault aws --config keyturn.yaml --to-config next.yaml   # the deployment moves: the same names, another store',
  ])
    .argument('<from>', 'a store of the config')
    .argument('<to>', 'the store to write to: each name goes where an entry of this store puts it')
    .option('--only <name>', 'this name, or all below a prefix that ends in /; may be given again', gather)
    .option('--versions', 'older versions too, oldest first, where both stores keep them')
    .option('--verify', 'reads everything back through new connections and compares; a difference: exit 1')
    .option('--plan', 'only says what would happen')
    .option('--yes', 'does not ask on a terminal')
    .addOption(configOption())
    .option('--to-config <file>', 'the config that TO is a store of (default: the same)')
    .addOption(jsonOption())
    .action(async (from: string, to: string, options: Options) => {
      const door = await openDoor()
      const config = await readConfig(terminal, door, options.config)
      const toConfig = options.toConfig === undefined ? config : await readConfig(terminal, door, options.toConfig)
      mustHave(config, from)
      mustHave(toConfig, to)
      if (config === toConfig && from === to) throw wrongUse(`${from} is one store`, 'name another one to copy to')
      const report = new CopyReport(terminal, { from, to, json: options.json === true, versions: options.versions === true })
      const { env, signal } = terminal
      const copying = await door.openCopy({
        from: { config, store: from },
        to: { config: toConfig, store: to },
        versions: options.versions === true,
        ...(options.only === undefined ? {} : { only: options.only }),
        env,
        signal,
        onPause: (store, ms, code) => report.pause(store, ms, code),
      })
      try {
        await carriedOut(terminal, copying, report, options)
      } finally {
        await copying.close()
      }
    })
}

async function carriedOut(terminal: Terminal, copying: Copying, report: CopyReport, options: Options): Promise<void> {
  const plan = await copying.plan((done, of) => report.progress('looked at', done, of))
  report.plan(plan, options.plan === true)
  const refused = plan.rows.filter(({ action }) => action === 'cannot')
  if (refused.length > 0) {
    terminal.err(`keyturn: ${refused.length} of ${plan.rows.length} cannot be copied; nothing was written\n`)
    throw new Exit(exit.use)
  }
  if (options.plan === true) return ended(plan.rows, [])
  await mustAgree(terminal, plan, options)
  const results: CopyResult[] = []
  const of = plan.rows.filter(({ action }) => action !== 'absent' && action !== 'failed').length
  const verified: CopyResult[] = []
  try {
    await copying.run(result => {
      results.push(result)
      report.step('result', result, results.length, of)
    })
    if (options.verify === true) {
      await copying.verify(result => {
        verified.push(result)
        report.step('verify', result, verified.length, of)
      })
    }
  } finally {
    // what was done is told also when the rest could not be
    report.end(plan.rows, results, options.verify === true ? verified : null, copying.audits)
  }
  ended(plan.rows, [...results, ...verified])
}

function mustHave(config: Config, store: string): void {
  if (config.stores.has(store)) return
  const stores = [...config.stores.keys()]
  const near = nearest(store, stores)
  throw wrongUse(`the config has no store ${store}`, near === undefined ? `it has ${stores.join(', ')}` : `did you mean ${near}?`)
}

/** A person says yes to what is to be written; a script has said so by calling. */
async function mustAgree(terminal: Terminal, { rows }: CopyPlan, options: Options): Promise<void> {
  const count = rows.filter(({ action }) => action === 'create' || action === 'replace').length
  if (count === 0 || options.yes === true || !terminal.isTerminal.stdin) return
  if (!(await terminal.confirm(`Copy ${count} of ${rows.length}?`))) throw new Exit(exit.failed)
}

const mayPass: ReadonlySet<string | null> = new Set(['unavailable', 'throttled', 'outcome_unknown'])

/** Exit 6 where all that failed may pass by itself, 1 where something did not or is not the same. */
function ended(rows: readonly CopyRow[], results: readonly CopyResult[]): void {
  const failed = [...rows.filter(({ action }) => action === 'failed'), ...results.filter(({ result }) => result === 'failed')]
  const differs = results.some(({ result }) => result === 'differs')
  if (failed.length === 0 && !differs) return
  throw new Exit(!differs && failed.every(({ code }) => mayPass.has(code ?? null)) ? exit.unavailable : exit.failed)
}
