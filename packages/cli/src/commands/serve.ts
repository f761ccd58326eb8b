import type { Command } from 'commander'
import { command, configOption, type Setting } from '../command.ts'
import { complained, configFile } from '../config-file.ts'
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
      const running = await complained(terminal, door.serve({ config, env, cwd }))
      terminal.out(welcome(running, cwd))
      // a broker outlives the terminal that started it
      terminal.onHangup(() => terminal.err('keyturn: this build reads its config only at the start; restart to change it\n'))
      if (!signal.aborted) await new Promise(resolve => signal.addEventListener('abort', resolve, { once: true }))
      await running.stop()
    })
}
