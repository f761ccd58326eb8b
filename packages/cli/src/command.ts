import { Command, Option } from 'commander'
import type { BrokerDoor } from './broker-door.ts'
import type { Terminal } from './terminal.ts'

/** What every command is made with. */
export interface Setting {
  readonly terminal: Terminal
  readonly openDoor: () => Promise<BrokerDoor>
}

/** A command, its summary, and the examples that `--help` ends with. */
export function command(usage: string, summary: string, examples: readonly string[]): Command {
  return new Command(usage.split(' ')[0])
    .usage(usage.split(' ').slice(1).join(' '))
    .description(summary)
    .addHelpText(
      'after',
      `\nExamples:\n${examples.map(example => `  $ ${example.includes('keyturn ') ? example : `keyturn ${example}`}\n`).join('')}`,
    )
}

export const jsonOption = () => new Option('--json', 'print JSON')
export const tokenFileOption = () => new Option('--token-file <file>', 'the file that holds the token (default: KEYTURN_TOKEN)')
export const configOption = () =>
  new Option('--config <file>', 'the config file or its folder (default: KEYTURN_CONFIG, then ./keyturn.yaml)')

/** Adds each value of an option that may be given several times. */
export const gather = (value: string, before: readonly string[] | undefined) => [...(before ?? []), value]
