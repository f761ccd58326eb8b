import { basename } from 'node:path'
import { findOpenBao } from '../../servers/openbao.ts'
import type { AbsentReader, Fields, Name, Place, Reader } from './reader.ts'
import { type Ended, run } from './run.ts'

/** The command line that comes with the server. */
export async function findVaultCli(): Promise<Reader | AbsentReader> {
  const program = await findOpenBao()
  if (program === undefined) return { title: 'bao CLI', absent: 'no `bao` or `vault` on PATH, and KEYTURN_TEST_BAO names none' }
  const { stdout } = await run(program, ['version'], {})
  return readerOf(program, `${basename(program)} CLI ${/v([\d.]+)/.exec(stdout)?.[1] ?? 'of an unknown version'}`)
}

/** What it exits with when the server says that there is nothing. */
const nothing = 2

function readerOf(program: string, title: string): Reader {
  const kv = ({ url, token, namespace }: Place, action: string, args: readonly string[], input = '') => {
    const variables = Object.entries({ ADDR: url, TOKEN: token, ...(namespace === undefined ? {} : { NAMESPACE: namespace }) })
    const env = Object.fromEntries(variables.flatMap(([name, value]) => ['VAULT', 'BAO'].map(prefix => [`${prefix}_${name}`, value])))
    return run(program, ['kv', action, ...args], env, input)
  }
  const where = ({ mount, key }: Name) => [`-mount=${mount}`, key]
  return {
    title,
    numbers: 'kept',
    async read(at, name, options) {
      const version = options.version === undefined ? [] : [`-version=${options.version}`]
      const ended = await kv(at, 'get', ['-format=json', ...version, ...where(name)])
      if (ended.code === nothing && /No value found|"data": null/.test(ended.stdout + ended.stderr)) return undefined
      const { data } = answerOf(ended)
      if (name.kv === 1) return data
      // a version that is gone has metadata alone
      return (data.data as Fields | null) ?? undefined
    },
    async write(at, name, fields, cas) {
      const condition = cas === undefined ? [] : [`-cas=${cas}`]
      const ended = await kv(at, 'put', ['-format=json', ...condition, ...where(name), '-'], JSON.stringify(fields))
      if (ended.code === nothing && ended.stderr.includes('check-and-set')) return false
      if (ended.code !== 0) throw new Error(`${title}: ${ended.stderr}`)
      return true
    },
    async list(at, folder) {
      const ended = await kv(at, 'list', ['-format=json', ...where(folder)])
      if (ended.code !== 0) throw new Error(`${title}: ${ended.stderr}`)
      // a list of texts
      return JSON.parse(ended.stdout) as readonly string[]
    },
    async remove(at, name) {
      const ended = await kv(at, 'delete', where(name))
      if (ended.code !== 0) throw new Error(`${title}: ${ended.stderr}`)
    },
  }

  function answerOf({ code, stdout, stderr }: Ended): { readonly data: Fields } {
    if (code !== 0) throw new Error(`${title} ended with ${code}: ${stderr}`)
    // the answer of the API as it is
    return JSON.parse(stdout) as { readonly data: Fields }
  }
}
