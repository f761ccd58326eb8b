// Plain JavaScript, read before anything else: where Node may keep the code that it compiles, which halves the next start.
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

/** The value of `--config`, in either form. */
function given(args) {
  const at = args.findIndex(each => each === '--config' || each.startsWith('--config='))
  const found = args[at] ?? ''
  return found === '--config' ? args[at + 1] : found.slice('--config='.length) || undefined
}

function configFile(args, env, cwd) {
  const path = resolve(cwd, given(args) ?? (env.KEYTURN_CONFIG || 'keyturn.yaml'))
  return statSync(path).isDirectory() ? join(path, `${env.KEYTURN_ENV || 'keyturn'}.yaml`) : path
}

const plain = '"?([\\w./-]+)"?'
const blockForm = new RegExp(`^[ \\t]+data:[ \\t]+${plain}[ \\t]*(?:#.*)?$`, 'm')
const flowForm = new RegExp(`[{,][ \\t]*data:[ \\t]+${plain}[ \\t]*[,}]`)

/** What `broker.data` says, as text or left out; undefined where only a parser of YAML could tell. */
export function dataIn(text) {
  // the line of the key, and those below that are indented, empty or comments
  const [section] = /^broker:.*\n?(?:(?:[ \t].*|#.*|\r)?\n)*(?:[ \t].*)?/m.exec(text) ?? []
  if (section === undefined) return /\bbroker\b/.test(text) ? undefined : '.keyturn'
  const lines = section.replaceAll('\r', '')
  if (/[*&$|>]|<</.test(lines)) return undefined
  if (!/\bdata\b/.test(lines)) return '.keyturn'
  return (blockForm.exec(lines) ?? flowForm.exec(lines))?.[1]
}

/** The data folder that a config names, as far as it can be told without loading anything. */
function dataFolder(args, env, cwd) {
  if (env.KEYTURN_DATA) return resolve(cwd, env.KEYTURN_DATA)
  const file = configFile(args, env, cwd)
  const data = dataIn(readFileSync(file, 'utf8'))
  return data === undefined ? undefined : resolve(dirname(file), data)
}

/** The broker is about to make its folder: as it would, for its owner alone. */
function makePrivate(folder) {
  if (!existsSync(folder)) mkdirSync(folder, { mode: 0o700 })
  else if (readdirSync(folder).length === 0) chmodSync(folder, 0o700)
}

/** Nobody else may leave code where it would be run. */
function isPrivate(folder) {
  const stats = statSync(folder)
  return stats.isDirectory() && stats.uid === process.getuid?.() && (stats.mode & 0o077) === 0
}

/** `cache` in the data folder of the config, when that folder is ours alone; undefined where there is none. Only `serve` makes the folder. */
export function cacheFolder(args, env, cwd) {
  try {
    const data = dataFolder(args, env, cwd)
    if (data === undefined) return undefined
    if (args[0] === 'serve') makePrivate(data)
    if (!isPrivate(data)) return undefined
    const cache = join(data, 'cache')
    mkdirSync(cache, { recursive: true, mode: 0o700 })
    return cache
  } catch {
    // what is wrong with config or folder is said by whoever needs it
    return undefined
  }
}
