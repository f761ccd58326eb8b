import { configJsonSchema } from '@keyturn/config'
import { Command } from 'commander'
import { command, type Setting } from '../command.ts'
import { printJson } from '../print.ts'

/** `config schema`. */
export function config(setting: Setting): Command {
  return new Command('config').description('About the config file').addCommand(schema(setting))
}

function schema({ terminal, openDoor }: Setting): Command {
  return command('schema', 'Prints the JSON Schema of the config file, for editors', ['config schema > keyturn.schema.json']).action(
    async () => {
      const door = await openDoor()
      printJson(terminal, configJsonSchema(await door.kinds()))
    },
  )
}
