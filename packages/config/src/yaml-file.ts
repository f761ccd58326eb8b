import type { Position } from '@keyturn/policy'
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseAllDocuments,
  Scalar as YamlScalar,
} from 'yaml'
import type { Complaints } from './complaint.ts'
import { type Environment, interpolate } from './interpolate.ts'
import { decodeText } from './text-file.ts'
import { type Entry, type Mapping, type Path, renderPath, type Tree } from './tree.ts'

/** What aliases may add to a file; the file's own nodes are bounded by its size. */
const aliasedMax = 10_000
const depthMax = 32
const errorsMax = 10

/**
 * Reads one YAML 1.2 file into a tree of texts, with the variables put in. The top is always a map: an empty file has no keys.
 * Undefined after complaints that leave nothing to go on with.
 */
export function parseYamlFile(bytes: Uint8Array, file: string, env: Environment, complaints: Complaints): Mapping | undefined {
  const text = decodeText(bytes, file, complaints)
  if (text === undefined) return undefined
  const lines = new LineCounter()
  const at = (offset: number): Position => {
    const { line, col } = lines.linePos(offset)
    return { file, line: Math.max(line, 1), column: Math.max(col, 1) }
  }
  // failsafe: every scalar stays text; duplicates are found below, where both places are known
  const documents = parseAllDocuments(text, {
    schema: 'failsafe',
    version: '1.2',
    lineCounter: lines,
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: 'silent',
  })
  const empty: Mapping = { kind: 'mapping', at: { file, line: 1, column: 1 }, entries: new Map() }
  if (!Array.isArray(documents)) return empty
  if (refuseDocuments(documents, text, at, complaints)) return undefined
  const document = documents[0]
  if (document === undefined || document.contents === null) return empty
  const top = new TreeBuilder(document, text, at, env, complaints).build()
  if (top === undefined) return undefined
  if (top.kind === 'mapping') return top
  if (top.kind === 'scalar' && top.text === '' && top.plain) return empty
  complaints.error(top.at, '', 'the file is no map of keys', 'start with a key, such as vault:')
  return undefined
}

function refuseDocuments(documents: readonly Document[], text: string, at: (offset: number) => Position, complaints: Complaints): boolean {
  const errors = documents.flatMap(document => document.errors)
  // what follows on the same line follows from the first
  const first = new Map(errors.map(error => [at(error.pos[0]).line, error] as const).reverse())
  for (const error of [...first.values()].reverse().slice(0, errorsMax)) {
    const [message, remedy] = yamlReason(error.code, error.message)
    complaints.error(at(error.pos[0]), '', message, bareVariable.test(lineAt(text, error.pos[0])) ? quoteRemedy : remedy)
  }
  const second = documents[1]
  if (second !== undefined && errors.length === 0) {
    complaints.error(at(second.range?.[0] ?? 0), '', 'a second YAML document', 'keep one document a file; join files with include:')
    return true
  }
  const version = documents[0]?.directives?.yaml
  if (version?.explicit && version.version !== '1.2') {
    complaints.error(at(0), '', `YAML ${version.version}`, 'write YAML 1.2 and remove the %YAML line')
    return true
  }
  return errors.length > 0
}

// the braces of a variable are YAML's own inside a map or list in brackets
const bareVariable = /[{[,].*[:,[]\s*\$\{/
const quoteRemedy = `inside { } and [ ] put a variable in quotes: "\${NAME}"`

function lineAt(text: string, offset: number): string {
  const end = text.indexOf('\n', offset)
  const start = Math.max(text.lastIndexOf('\n', offset - 1) + 1, offset - 300)
  return text.slice(start, Math.min(end < 0 ? text.length : end, offset + 300))
}

function yamlReason(code: string, message: string): [message: string, remedy: string] {
  if (code === 'RESOURCE_EXHAUSTION') return ['nested too deeply', `use at most ${depthMax} levels`]
  const said = `${message.charAt(0).toLowerCase()}${message.slice(1)}`.replace(/\s+/g, ' ').slice(0, 160)
  const remedy =
    code === 'BAD_INDENT' || code === 'TAB_AS_INDENT'
      ? 'indent with spaces, the same number for each level'
      : code === 'BLOCK_AS_IMPLICIT_KEY' || code === 'MULTILINE_IMPLICIT_KEY'
        ? 'put the key on a line of its own, or its value in quotes'
        : 'check the indentation, quotes and brackets here'
  return [`not valid YAML: ${said}`, remedy]
}

class TreeBuilder {
  readonly #document: Document
  readonly #text: string
  readonly #at: (offset: number) => Position
  readonly #env: Environment
  readonly #complaints: Complaints
  readonly #open = new Set<Node>()
  #aliased = 0
  /** The outermost alias that is being followed. */
  #alias: { readonly at: Position; readonly path: Path } | undefined
  #exhausted = false

  constructor(document: Document, text: string, at: (offset: number) => Position, env: Environment, complaints: Complaints) {
    this.#document = document
    this.#text = text
    this.#at = at
    this.#env = env
    this.#complaints = complaints
  }

  build(): Tree | undefined {
    // the document's contents are nodes that the parser made; null was ruled out by the caller
    const tree = this.#node(this.#document.contents as Node, [], { file: '', line: 1, column: 1 })
    return this.#exhausted ? undefined : tree
  }

  #node(node: unknown, path: Path, parentAt: Position): Tree | undefined {
    if (this.#exhausted) return undefined
    const at = this.#place(node, parentAt)
    if (this.#alias !== undefined) this.#aliased++
    if (this.#aliased > aliasedMax || path.length > depthMax) return this.#exhaust(at, path)
    if (isAlias(node)) return this.#resolved(node.resolve(this.#document), path, at)
    if (isScalar(node)) return this.#scalar(node, path, at)
    if (!isMap(node) && !isSeq(node)) return { kind: 'scalar', at, text: '', source: '', plain: true, interpolated: false, broken: false }
    if (node.tag !== undefined) this.#refuseTag(node.tag, path, at)
    this.#open.add(node)
    const tree = isMap(node) ? this.#mapping(node.items, path, at) : this.#sequence(node.items, path, at)
    this.#open.delete(node)
    return tree
  }

  #resolved(target: Node | undefined, path: Path, at: Position): Tree | undefined {
    if (target === undefined) {
      this.#complaints.error(
        at,
        renderPath(path),
        'an alias of an anchor that is not there',
        'write the anchor before it, or the value itself',
      )
      return undefined
    }
    if (this.#open.has(target)) {
      this.#complaints.error(at, renderPath(path), 'an alias inside its own anchor', 'write the value itself')
      return undefined
    }
    const outer = this.#alias
    this.#alias = outer ?? { at, path }
    const tree = this.#node(target, path, at)
    this.#alias = outer
    return tree
  }

  #mapping(pairs: readonly Pair[], path: Path, at: Position): Mapping {
    const entries = new Map<string, Entry>()
    for (const pair of pairs) {
      const keyAt = this.#place(pair.key, at)
      const key = this.#key(pair.key, path, keyAt)
      if (key === undefined) continue
      const first = entries.get(key)
      if (first !== undefined) {
        const where = `${first.at.file}:${first.at.line}:${first.at.column}`
        this.#complaints.error(keyAt, renderPath([...path, key]), `the key stands twice; first at ${where}`, 'keep one of the two')
        continue
      }
      const value = this.#node(pair.value, [...path, key], keyAt)
      if (value !== undefined) entries.set(key, { at: keyAt, value })
    }
    return { kind: 'mapping', at, entries }
  }

  #sequence(items: readonly unknown[], path: Path, at: Position): Tree {
    const trees = items.map((item, index) => this.#node(item, [...path, index], at))
    return { kind: 'sequence', at, items: trees.filter(tree => tree !== undefined) }
  }

  #key(key: unknown, path: Path, at: Position): string | undefined {
    if (isScalar(key) && typeof key.value === 'string' && key.tag === undefined) {
      if (key.value !== '' && key.value !== '__proto__') return key.value
      this.#complaints.error(at, renderPath(path), key.value === '' ? 'an empty key' : 'a key that is refused', 'name the key')
      return undefined
    }
    this.#complaints.error(
      at,
      renderPath(path),
      'a key that is no plain text',
      'write a word before the colon; quote a value that starts with { or [',
    )
    return undefined
  }

  #scalar(node: YamlScalar, path: Path, at: Position): Tree {
    if (node.tag !== undefined) this.#refuseTag(node.tag, path, at)
    const source = typeof node.value === 'string' ? node.value : ''
    const plain = node.type === undefined || node.type === YamlScalar.PLAIN
    if (!source.includes('$'))
      return { kind: 'scalar', at, text: source, source, plain, interpolated: false, broken: node.tag !== undefined }
    const { text, variables, remarks } = interpolate(source, this.#env)
    for (const [variable, value] of variables) this.#complaints.hide(variable, value ?? '', at)
    for (const remark of remarks) {
      const place = this.#dollarPlace(node, source, remark.index) ?? at
      this.#complaints[remark.level](place, renderPath(path), remark.message, remark.remedy)
    }
    const broken = node.tag !== undefined || remarks.some(remark => remark.level === 'error')
    return { kind: 'scalar', at, text, source, plain, interpolated: variables.length > 0, broken }
  }

  // the dollar's own column, where the text as written has the same dollars as the text as read
  #dollarPlace(node: YamlScalar, source: string, index: number): Position | undefined {
    if (!node.range) return undefined
    const written = this.#text.slice(node.range[0], node.range[1])
    if (written.split('$').length !== source.split('$').length) return undefined
    let offset = -1
    for (let count = source.slice(0, index + 1).split('$').length - 1; count > 0; count--) offset = written.indexOf('$', offset + 1)
    return this.#at(node.range[0] + offset)
  }

  #refuseTag(tag: string, path: Path, at: Position): void {
    this.#complaints.error(at, renderPath(path), `the tag ${tag.slice(0, 60)}`, 'remove it: a value has the type that its key asks for')
  }

  #exhaust(at: Position, path: Path): undefined {
    if (this.#exhausted) return
    this.#exhausted = true
    const where = this.#alias ?? { at, path: path.slice(0, 4) }
    const tooDeep = path.length > depthMax
    const message = tooDeep ? 'nested too deeply' : 'aliases grow without bound here'
    const remedy = tooDeep ? `use at most ${depthMax} levels` : `write the values out: aliases may add ${aliasedMax} to a file`
    this.#complaints.error(where.at, renderPath(where.path), message, remedy)
  }

  #place(node: unknown, otherwise: Position): Position {
    const range = (isScalar(node) || isMap(node) || isSeq(node) || isAlias(node)) && node.range
    return range ? this.#at(range[0]) : otherwise
  }
}
