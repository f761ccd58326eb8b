import { ConfigError } from '@keyturn/config'
import type { Command } from 'commander'
import { command, configOption, type Setting } from '../command.ts'
import { configFile } from '../config-file.ts'
import { Exit, exit } from '../exit.ts'
import { version } from '../version.ts'
import { welcome } from '../welcome.ts'

/** `serve`: the broker and its rotation worker, until it is told to stop. */
export function serve({ terminal, openDoor }: Setting): Command {
  return command('serve [options]', 'Runs the broker and its rotation worker', [
    'serve',
    'serve --config configs/quickstart/keyturn.yaml',
    'serve --config configs/platform   # with KEYTURN_ENV=production: its production.yaml',
  ])
    .addOption(configOption())
    .action(async (options: { readonly config?: string }) => {
      const { env, cwd, signal } = terminal
      const config = await configFile(terminal, options.config)
      const door = await openDoor()
      const stopped = new Promise(resolve => signal.addEventListener('abort', resolve, { once: true }))
      const running = await door.serve({ config, env, cwd, version }).catch((error: unknown) => {
        if (!(error instanceof ConfigError)) throw error
        terminal.err(`${error.message}\n`)
        throw new Exit(exit.use)
      })
      terminal.out(welcome(running, cwd))
      if (!signal.aborted) await stopped
      await running.stop()
    })
}
