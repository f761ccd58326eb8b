import type { WireField } from '@keyturn/api'
import type { KeyturnClient, NewValue, WriteOptions } from '@keyturn/client'
import { BrokerError } from '@keyturn/core'
import type { Command } from 'commander'
import { brokerClient } from '../broker-client.ts'
import { command, jsonOption, type Setting, tokenFileOption } from '../command.ts'
import { enteredValue } from '../entered-value.ts'
import { wrongUse } from '../exit.ts'
import { printJson } from '../print.ts'

interface Options {
  readonly field?: string
  readonly type?: string
  readonly file?: string
  readonly allowEmpty?: boolean
  readonly json?: boolean
  readonly tokenFile?: string
}

/** Another writer may come between reading and writing; who loses that often has to look. */
const attemptsMax = 3

/** `set NAME`: a new secret, or a new version of one. */
export function set({ terminal }: Setting): Command {
  return command('set NAME [options]', 'Writes a value from stdin, a file or a prompt, byte for byte', [
    'printf %s "$NEW_KEY" | keyturn set payments/stripe --field api_key',
    'set app/session-key --type service-token',
    'set tls/server --field certificate --file server.crt',
  ])
    .argument('<name>')
    .option('--field <field>', 'changes this field and leaves the others as they are')
    .option('--type <type>', 'the type of a new secret, such as api-key')
    .option('--file <file>', 'reads the value from a file')
    .option('--allow-empty', 'accepts an empty value')
    .addOption(jsonOption())
    .addOption(tokenFileOption())
    .action(async (name: string, options: Options) => {
      const value = await enteredValue(terminal, options)
      const client = brokerClient(terminal, options)
      const type = options.type === undefined ? {} : { type: options.type }
      const written =
        options.field === undefined ? await client.set(name, { value, ...type }) : await setField(client, name, options.field, value, type)
      if (options.json === true) printJson(terminal, written)
      else terminal.err(`${written.created ? 'made' : 'changed'} ${written.name}, version ${written.version}\n`)
    })
}

async function setField(client: KeyturnClient, name: string, field: string, value: WireField, type: { type?: string }) {
  for (let attempt = 1; ; attempt += 1) {
    const [whole, condition] = await withField(client, name, field, value)
    try {
      return await client.set(name, { ...whole, ...type }, condition)
    } catch (error) {
      // a conflict without a current version is another one: an open rotation, a type
      const isRace = error instanceof BrokerError && error.code === 'conflict' && error.detail?.current !== undefined
      if (!isRace || attempt === attemptsMax) throw error
    }
  }
}

async function withField(client: KeyturnClient, name: string, field: string, value: WireField): Promise<[NewValue, WriteOptions]> {
  try {
    const before = await client.get(name)
    if (before.fields === undefined) throw wrongUse(`${name} is one unnamed field`, 'leave --field out')
    return [{ fields: { ...before.fields, [field]: value } }, { ifVersion: before.version }]
  } catch (error) {
    if (!(error instanceof BrokerError && error.code === 'not_found')) throw error
    return [{ fields: { [field]: value } }, { mustBeNew: true }]
  }
}
