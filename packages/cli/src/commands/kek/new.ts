import { randomBytes } from 'node:crypto'
import { open } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Config } from '@keyturn/config'
import { BrokerError } from '@keyturn/core'
import { type Command, Option } from 'commander'
import { type BrokerOptions, brokerAdmin } from '../../broker-client.ts'
import { command, configOption, jsonOption, type Setting, tokenFileOption } from '../../command.ts'
import { readConfig } from '../../config-file.ts'
import { wrongUse } from '../../exit.ts'
import { printJson } from '../../print.ts'
import type { Terminal } from '../../terminal.ts'

interface Options extends BrokerOptions {
  readonly out?: string
  readonly current?: boolean
  readonly config?: string
  readonly json?: boolean
}

/** `kek new ID`: 32 random bytes where the keys of a deployment are, or in a file. */
export function make(setting: Setting): Command {
  const { terminal } = setting
  return command('new ID [options]', 'Makes a KEK: in a file, in the folder of the keys, or by the provider that makes them', [
    'kek new v2 --out v2.key',
    'kek new v2 --out - | kubectl create secret generic talos-kek-v2 --from-file=v2.key=/dev/stdin',
    'kek new v2 --config keyturn.yaml   # provider file: into its folder; keyturn kek promote v2 comes next',
    'kek new v2 --config keyturn.yaml   # provider vault-transit or aws-kms: the broker has it made',
  ])
    .argument('<id>')
    .addOption(new Option('--out <file>', 'writes 43 characters to a new file that only you may read; - for stdout').conflicts('current'))
    .option('--current', 'provider file: calls it current at once')
    .addOption(configOption())
    .addOption(jsonOption())
    .addOption(tokenFileOption())
    .action(async (id: string, options: Options) => {
      if (!/^[A-Za-z0-9_-]{1,64}$/.test(id))
        throw wrongUse('not an id of a KEK', 'write 1 to 64 letters, digits, - or _, as in v2 or 2026-03')
      if (options.out === '-') terminal.out(`${keyText()}\n`)
      else if (options.out !== undefined) await toFile(terminal, id, options.out, options)
      else await toProvider(setting, id, options)
    })
}

/** 32 random bytes in base64url (RFC 4648, section 5) without padding: 43 characters. */
const keyText = () => randomBytes(32).toString('base64url')

async function toFile(terminal: Terminal, id: string, out: string, options: Options): Promise<void> {
  const path = resolve(terminal.cwd, out)
  const file = await open(path, 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST')
      throw new BrokerError('conflict', `${out} is there already, and a key is never replaced`, { hint: 'name a new file' })
    throw wrongUse(`the file ${out} cannot be made (${error.code})`, 'name a file in a folder that you may write to')
  })
  try {
    await file.writeFile(`${keyText()}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  if (options.json === true) printJson(terminal, { id, file: path })
  else {
    terminal.err(`wrote KEK ${id} to ${out}, for you alone; keep a copy where you keep keys: what it closes is lost with it\n`)
    terminal.err(
      `next: give every broker the variable <PREFIX>_KEK_${id} with what the file holds, or the file as ${id}.key in its folder of keys\n`,
    )
  }
}

async function toProvider({ terminal, openDoor }: Setting, id: string, options: Options): Promise<void> {
  const door = await openDoor()
  const config = await readConfig(terminal, door, options.config)
  const { keys } = config.broker
  if (options.current === true && keys.provider !== 'file') {
    throw wrongUse('--current is for keys in a folder', `these come from ${keys.provider}: leave it out`)
  }
  if (keys.provider === 'env') {
    throw wrongUse(
      `the keys of this config are variables, which nobody can set for a process`,
      `write --out FILE, and give every broker ${keys.prefix}_KEK_${id} with what it holds`,
    )
  }
  if (keys.provider === 'file') {
    const file = door.makeKeyFile(keyFolder(config), id)
    if (options.current === true) door.promoteKeyFile(keyFolder(config), id)
    if (options.json === true) printJson(terminal, { id, file, current: options.current === true })
    else terminal.err(`wrote ${file}; ${options.current === true ? `current is ${id}` : `next: keyturn kek promote ${id}`}\n`)
    return
  }
  const made = await brokerAdmin(terminal, options).makeKek(id)
  if (options.json === true) printJson(terminal, made)
  else terminal.err(`${keys.provider} made KEK ${id}; it is current as soon as every broker holds it: keyturn kek status\n`)
}

/** Where the `file` provider of a config keeps its keys. */
export function keyFolder({ broker: { keys, data } }: Config): string {
  return (keys.provider === 'file' ? keys.folder : undefined) ?? join(data, 'keys')
}
