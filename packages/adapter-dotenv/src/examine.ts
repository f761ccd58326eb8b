import { BrokerError, type Finding } from '@keyturn/core'
import type { Snapshot } from './client.ts'
import { nameOf } from './names.ts'
import type { DotenvOptions } from './options.ts'

/** What can be said of the file: whether it is there, who else can read it, and variables that cannot be served or are set twice. */
export function examineFile(options: DotenvOptions, { assignments, content }: Snapshot): readonly Finding[] {
  const { file } = options
  if (content === undefined) {
    return [
      {
        ok: false,
        what: `file ${file}`,
        detail: 'it does not exist',
        hint: 'correct file, or write a first secret: that makes it',
        code: 'not_found',
      },
    ]
  }
  const names = assignments.map(({ name }) => name)
  const twice = new Set(names.filter((name, index) => names.indexOf(name) !== index))
  return [
    { ok: true, what: `file ${file}`, ...accessOf(content.mode) },
    ...[...twice].map(name => ({ ok: true, what: `variable ${name}`, detail: 'it is set more than once; the last one counts' })),
    ...[...new Set(names)].flatMap(name => unnameable(name, options)),
  ]
}

/** What can be said of one variable. */
export function examineVariable(path: string, { file }: DotenvOptions, { assignments }: Snapshot): Finding {
  const what = `variable ${path}`
  if (assignments.some(({ name }) => name === path)) return { ok: true, what }
  const like = assignments.find(({ name }) => name.toLowerCase() === path.toLowerCase())?.name
  const hint = like === undefined ? `set ${path} in ${file}, or correct the path` : `did you mean ${like}?`
  return { ok: false, what, detail: `${file} has no such variable`, hint, code: 'not_found' }
}

function accessOf(mode: number): { detail?: string; hint?: string } {
  if ((mode & 0o222) === 0) return { detail: 'read-only: values can be read, not written' }
  if ((mode & 0o077) === 0) return {}
  return { detail: 'others on this machine can read or write it', hint: 'chmod 600, unless that is meant' }
}

function unnameable(name: string, options: DotenvOptions): readonly Finding[] {
  try {
    nameOf(name, options)
    return []
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error
    return [{ ok: false, what: `variable ${name}`, detail: error.message, hint: error.hint ?? 'rename the variable' }]
  }
}
