import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { type Config, ConfigError, renderComplaint } from '@keyturn/config'
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

/** Reads the config; warnings go to stderr. */
export async function readConfig(terminal: Terminal, door: BrokerDoor, given: string | undefined): Promise<Config> {
  const { cwd, env } = terminal
  const config = await complained(terminal, door.readConfig({ config: await configFile(terminal, given), cwd, env }))
  for (const warning of config.warnings) terminal.err(`${renderComplaint(warning)}\n`)
  return config
}

/** Everything that is wrong with a config goes to stderr, and ends the command with exit 2. */
export async function complained<T>(terminal: Terminal, reading: Promise<T>): Promise<T> {
  try {
    return await reading
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    terminal.err(`${error.message}\n`)
    throw new Exit(exit.use)
  }
}
