import { BrokerError } from '@keyturn/core'
import type { Command } from 'commander'
import { brokerClient } from '../broker-client.ts'
import { command, jsonOption, type Setting, tokenFileOption } from '../command.ts'
import { wrongUse } from '../exit.ts'
import { printJson } from '../print.ts'

interface Options {
  readonly field?: string
  readonly version?: string
  readonly stage?: 'current' | 'previous' | 'pending'
  readonly json?: boolean
  readonly tokenFile?: string
}

const stages = ['current', 'previous', 'pending'] as const

/** `get NAME`: the bytes of one field, nothing added unless a person looks. */
export function get({ terminal }: Setting): Command {
  return command('get NAME [options]', 'Prints a value, byte for byte', [
    'get payments/stripe --field api_key',
    'get app/session-key --stage previous',
    'get payments/stripe --json',
    'get tls/server --field private_key > server.key',
  ])
    .argument('<name>')
    .option('--field <field>', 'one of several fields')
    .option('--version <id>', 'a version by its id')
    .option('--stage <stage>', 'current, previous or pending')
    .addOption(jsonOption())
    .addOption(tokenFileOption())
    .action(async (name: string, options: Options) => {
      if (options.stage !== undefined && !stages.includes(options.stage)) {
        throw wrongUse(`there is no stage ${options.stage}`, `write one of ${stages.join(', ')}`)
      }
      if (options.stage !== undefined && options.version !== undefined)
        throw wrongUse('--stage and --version exclude each other', 'give one of them')
      const client = brokerClient(terminal, options)
      const wanted = {
        ...(options.field === undefined ? {} : { field: options.field }),
        ...(options.version === undefined ? {} : { version: options.version }),
        ...(options.stage === undefined ? {} : { stage: options.stage }),
      }
      if (options.json === true) {
        printJson(terminal, await client.get(name, wanted))
        return
      }
      const { bytes } = await client.getBytes(name, wanted).catch((error: unknown) => {
        throw isSeveral(error) ? wrongUse(`${name} has several fields`, 'name one with --field, or print all of them with --json') : error
      })
      terminal.out(bytes)
      // a person's next prompt would stand behind the value
      if (terminal.isTerminal.stdout && bytes.at(-1) !== 10) terminal.out('\n')
    })
}

function isSeveral(error: unknown): boolean {
  return error instanceof BrokerError && error.detail?.reason === 'not_acceptable'
}
