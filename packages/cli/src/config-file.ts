import { readFile, stat } from 'node:fs/promises'
import { isAbsolute, join, relative, resolve } from 'node:path'
import { type Config, ConfigError, loadConfig, renderComplaint } from '@keyturn/config'
import type { BrokerDoor } from './broker-door.ts'
import { Exit, exit, wrongUse } from './exit.ts'
import type { Terminal } from './terminal.ts'

/** Which file is meant: `--config`, then `KEYTURN_CONFIG`, then `./keyturn.yaml`. A folder stands for the file of `KEYTURN_ENV` in it, else its `keyturn.yaml`. */
export async function configFile(terminal: Terminal, given: string | undefined): Promise<string> {
  const { KEYTURN_CONFIG: fromEnv, KEYTURN_ENV: environment } = terminal.env
  const named = given ?? (fromEnv === undefined || fromEnv === '' ? 'keyturn.yaml' : fromEnv)
  const path = resolve(terminal.cwd, named)
  const found = await stat(path).catch(() => undefined)
  if (found === undefined) throw wrongUse(`there is no config file ${named}`, 'name it with --config FILE or KEYTURN_CONFIG')
  if (!found.isDirectory()) return path
  return join(path, `${environment === undefined || environment === '' ? 'keyturn' : environment}.yaml`)
}

/** Reads the config; everything wrong with it goes to stderr, and ends the command with exit 2. Warnings go there too. */
export async function readConfig(terminal: Terminal, door: BrokerDoor, given: string | undefined): Promise<Config> {
  const file = await configFile(terminal, given)
  // complaints name the file as a person would type it
  const near = relative(terminal.cwd, file)
  const shown = near.startsWith('..') || isAbsolute(near) ? file : near
  try {
    const config = await loadConfig(shown, {
      env: terminal.env,
      kinds: await door.kinds(),
      reader: { read: path => readFile(resolve(terminal.cwd, path)) },
      cwd: terminal.cwd,
    })
    for (const warning of config.warnings) terminal.err(`${renderComplaint(warning)}\n`)
    return config
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    terminal.err(`${error.message}\n`)
    throw new Exit(exit.use)
  }
}
