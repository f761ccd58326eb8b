import type { Command } from 'commander'
import { command, configOption, jsonOption, type Setting } from '../../command.ts'
import { readConfig } from '../../config-file.ts'
import { wrongUse } from '../../exit.ts'
import { printJson } from '../../print.ts'
import { keyFolder } from './new.ts'

interface Options {
  readonly config?: string
  readonly json?: boolean
}

/** `kek promote ID`: what the folder of the keys calls current. */
export function promote({ terminal, openDoor }: Setting): Command {
  return command('promote ID [options]', 'Calls a KEK of the folder of keys current; running brokers see it by themselves', [
    'kek promote v2 --config keyturn.yaml',
  ])
    .argument('<id>')
    .addOption(configOption())
    .addOption(jsonOption())
    .action(async (id: string, options: Options) => {
      const door = await openDoor()
      const config = await readConfig(terminal, door, options.config)
      const { keys } = config.broker
      if (keys.provider === 'env') {
        throw wrongUse('the keys of this config are variables', `set ${keys.prefix}_CURRENT_KEK_ID=${id}, and start every broker again`)
      }
      if (keys.provider !== 'file') {
        throw wrongUse(`${keys.provider} calls a KEK current when it makes it`, `make a new one: keyturn kek new ID`)
      }
      door.promoteKeyFile(keyFolder(config), id)
      if (options.json === true) printJson(terminal, { id, folder: keyFolder(config) })
      else terminal.err(`current is ${id}; it takes effect when every live broker holds it: keyturn kek status\n`)
    })
}
