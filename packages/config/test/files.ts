import { join } from 'node:path'
import { ConfigError, renderComplaint } from '../src/complaint.ts'
import type { Config } from '../src/config.ts'
import type { FileReader } from '../src/include.ts'
import { type LoadOptions, loadConfig } from '../src/load.ts'
import { testKinds } from './kinds.ts'

/** The working directory of every test. */
export const cwd = '/srv/app'

/** A folder that exists only in a test: file name below `cwd` -> content. */
export function memoryFiles(files: Readonly<Record<string, string | Uint8Array>>): FileReader {
  const contents = new Map(Object.entries(files).map(([name, content]) => [join(cwd, name), content]))
  return {
    read(path) {
      const content = contents.get(path)
      if (content === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' })
      return typeof content === 'string' ? new TextEncoder().encode(content) : content
    },
  }
}

/** Loads `keyturn.yaml` of such a folder; a text is that one file. */
export function load(files: string | Readonly<Record<string, string | Uint8Array>>, more: Partial<LoadOptions> = {}): Promise<Config> {
  const reader = memoryFiles(typeof files === 'string' ? { 'keyturn.yaml': files } : files)
  return loadConfig('keyturn.yaml', { env: {}, kinds: testKinds, cwd, reader, ...more })
}

/** What `load` complains about, one line each, without the name of the file where there is only one; throws when it does not complain. */
export async function complaintsOf(files: Parameters<typeof load>[0], more: Partial<LoadOptions> = {}): Promise<string[]> {
  try {
    await load(files, more)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.complaints.map(renderComplaint).map(line => (typeof files === 'string' ? line.replace(/^keyturn\.yaml:/, '') : line))
  }
  throw new Error('nothing was refused')
}
