import { access, constants } from 'node:fs/promises'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'

type Environment = Readonly<Record<string, string | undefined>>

/** Where servers for tests are installed: `KEYTURN_SERVERS`, else a folder of the user's cache. */
export function serversFolder(env: Environment = process.env): string {
  return env.KEYTURN_SERVERS ?? join(env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'keyturn-servers')
}

/** The folders of PATH. */
export function pathFolders(env: Environment): readonly string[] {
  return (env.PATH ?? '').split(delimiter).filter(folder => folder !== '')
}

/** A file that can be run, or undefined. */
export function runnable(file: string): Promise<string | undefined> {
  return access(file, constants.X_OK).then(
    () => file,
    () => undefined,
  )
}

/** The first program of this name in these folders; undefined when none has it. */
export async function programIn(folders: readonly string[], name: string): Promise<string | undefined> {
  for (const folder of folders) {
    const file = await runnable(join(folder, name))
    if (file !== undefined) return file
  }
  return undefined
}
