import { isAbsolute, join, normalize, relative, resolve } from 'node:path'
import type { Complaints, Position } from './complaint.ts'
import type { Environment } from './interpolate.ts'
import { mergeMappings } from './merge.ts'
import { type Mapping, renderPath, type Scalar } from './tree.ts'
import { parseYamlFile } from './yaml-file.ts'

/** How files are read: the whole of one, or an error with Node's `code` (`ENOENT`, `EISDIR`, `EACCES`). */
export interface FileReader {
  read(path: string): Promise<Uint8Array> | Uint8Array
}

export interface FileContext {
  readonly reader: FileReader
  readonly env: Environment
  /** What relative paths of the command line start from. */
  readonly cwd: string
  readonly complaints: Complaints
}

export interface Joined {
  readonly root: Mapping
  /** Every file that was read, as complaints name them, the first one first. */
  readonly files: readonly string[]
}

const filesMax = 100

/** Reads a file and everything it includes into one tree. Undefined after complaints that leave nothing to go on with. */
export async function joinFiles(file: string, context: FileContext): Promise<Joined | undefined> {
  const join = new FileJoin(context)
  const root = await join.add(shownPath(file, context.cwd), undefined)
  return root === undefined ? undefined : { root, files: join.files }
}

// as short as it can be said from where the person stands
function shownPath(file: string, cwd: string): string {
  const path = resolve(cwd, file)
  const below = relative(cwd, path)
  return below === '' || below.startsWith('..') || isAbsolute(below) ? path : below
}

class FileJoin {
  readonly #context: FileContext
  readonly #open: string[] = []
  readonly #read = new Map<string, string>()

  constructor(context: FileContext) {
    this.#context = context
  }

  get files(): readonly string[] {
    return [...this.#read.values()]
  }

  async add(file: string, from: Position | undefined): Promise<Mapping | undefined> {
    const { cwd, env, complaints } = this.#context
    const path = resolve(cwd, file)
    const at = from ?? { file, line: 1, column: 1 }
    if (this.#open.includes(path)) {
      const chain = [...this.#open.slice(this.#open.indexOf(path)), path].map(each => this.#read.get(each) ?? file)
      complaints.error(at, 'include', `a circle of includes: ${chain.join(' -> ')}`, 'remove one of them')
      return undefined
    }
    // two files may include the same third one; it is read once
    if (this.#read.has(path)) return undefined
    if (this.#read.size >= filesMax) {
      complaints.error(at, 'include', `more than ${filesMax} files`, 'join some of them')
      return undefined
    }
    this.#read.set(path, file)
    complaints.addFile(file)
    const bytes = await this.#bytes(path, at, from === undefined ? '' : 'include', file)
    const root = bytes === undefined ? undefined : parseYamlFile(bytes, file, env, complaints)
    if (root === undefined) return undefined
    this.#open.push(path)
    const joined = await this.#withIncludes(root, file)
    this.#open.pop()
    return joined
  }

  async #withIncludes(root: Mapping, file: string): Promise<Mapping> {
    const own: Mapping = { ...root, entries: new Map([...root.entries].filter(([key]) => key !== 'include')) }
    let merged = own
    for (const scalar of this.#included(root)) {
      const target = isAbsolute(scalar.text) ? normalize(scalar.text) : join(file, '..', scalar.text)
      const other = await this.add(target, scalar.at)
      if (other !== undefined) merged = mergeMappings(merged, other, [], this.#context.complaints)
    }
    return merged
  }

  #included(root: Mapping): readonly Scalar[] {
    const entry = root.entries.get('include')
    if (entry === undefined) return []
    const items = entry.value.kind === 'sequence' ? entry.value.items : [entry.value]
    return items.flatMap((item, index) => {
      const path = entry.value.kind === 'sequence' ? renderPath(['include', index]) : 'include'
      if (item.kind !== 'scalar' || item.text === '') {
        this.#context.complaints.error(item.at, path, 'not the path of a file', 'write include: [secrets/vault.yaml]')
        return []
      }
      if (item.broken) return []
      // a file's name stands in every complaint about it, and no message may hold the value of a variable
      if (item.interpolated) {
        this.#context.complaints.error(item.at, path, 'the path of a file depends on a variable', 'write the path itself')
        return []
      }
      return [item]
    })
  }

  async #bytes(path: string, at: Position, key: string, file: string): Promise<Uint8Array | undefined> {
    try {
      return await this.#context.reader.read(path)
    } catch (error) {
      this.#context.complaints.error(at, key, ...readReason(error, file))
      return undefined
    }
  }
}

function readReason(error: unknown, file: string): [message: string, remedy: string] {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
  if (code === 'ENOENT' || code === 'ENOTDIR') return [`no file ${file}`, 'check the path: it starts from the file it stands in']
  if (code === 'EISDIR') return [`${file} is a folder`, 'name a file in it']
  if (code === 'EACCES' || code === 'EPERM') return [`${file} may not be read`, 'give this process the right to read it']
  return [`${file} cannot be read (${code})`, 'check the path']
}
