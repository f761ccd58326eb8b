import { type Config, type DescribedFigure, type DescribedSecret, describeConfig } from '@keyturn/config'
import type { Command } from 'commander'
import { command, configOption, jsonOption, type Setting } from '../command.ts'
import { readConfig } from '../config-file.ts'
import { Exit, exit } from '../exit.ts'
import { examineStores, type NamedResult, printFindings } from '../findings.ts'
import { printJson, printRows } from '../print.ts'
import type { Terminal } from '../terminal.ts'

interface Options {
  readonly config?: string
  readonly online?: boolean
  readonly json?: boolean
}

/** `check`: what the config says, and whether it is valid. */
export function check({ terminal, openDoor }: Setting): Command {
  return command('check [options]', 'Reads the config, and shows every secret with where each figure comes from', [
    'check',
    'check --config configs/agentaskit/keyturn.yaml',
    'check --online',
    "check --json | jq '.secrets[] | select(.every == null).name'",
  ])
    .addOption(configOption())
    .option('--online', 'logs in to every store and says what is missing')
    .addOption(jsonOption())
    .action(async (options: Options) => {
      const door = await openDoor()
      const config = await readConfig(terminal, door, options.config)
      const secrets = describeConfig(config)
      const findings = options.online === true ? await examineStores(terminal, door, config) : undefined
      if (options.json === true) printJson(terminal, documentOf(config, secrets, findings))
      else printSecrets(terminal, config, secrets)
      if (findings === undefined) return
      if (options.json !== true) printFindings(terminal, findings)
      if (findings.some(finding => !finding.ok)) throw new Exit(exit.failed)
    })
}

function documentOf(config: Config, secrets: readonly DescribedSecret[], findings: readonly NamedResult[] | undefined): object {
  const { files, environment } = config
  const prefixes = config.prefixes.map(({ store, under, name }) => ({ store, under, name }))
  return { files, environment, secrets, prefixes, ...(findings === undefined ? {} : { findings }) }
}

function printSecrets(terminal: Terminal, config: Config, secrets: readonly DescribedSecret[]): void {
  printRows(
    terminal,
    [
      { title: 'NAME', of: row => row.name },
      { title: 'STORE', of: row => row.stores.map(store => storeText(config, store)).join(', ') || '-' },
      { title: 'TYPE', of: row => row.type },
      { title: 'EVERY', of: row => figureText(row.every) },
      { title: 'GRACE', of: row => figureText(row.grace) },
      { title: 'STRATEGY', of: row => (row.strategy === null ? '-' : `${row.strategy.value} (${row.strategy.source})`) },
      { title: 'NOTES', of: row => row.notes.join('; ') },
    ],
    secrets,
  )
  for (const { store, under, name } of config.prefixes) {
    terminal.err(`everything of ${store} below ${under || 'its root'} is served below ${name || 'no prefix'}\n`)
  }
  for (const section of config.stores.values()) if (section.takesAny) terminal.err(`any other name is kept by ${section.name}\n`)
}

function storeText(config: Config, name: string): string {
  const kind = config.stores.get(name)?.kind
  return kind === undefined || kind === name ? name : `${name} (${kind})`
}

function figureText(figure: DescribedFigure | null): string {
  return figure === null ? '-' : `${figure.value} (${[figure.source, figure.at].filter(part => part !== null).join(' ')})`
}
