import type { z } from 'zod'
import type { Complaints, Position } from './complaint.ts'
import type { LeafParams } from './leaves.ts'
import { bare, branchFor, elementOf, fixedWords, memberOf, optionsOf, shape } from './shape.ts'
import { instead, listed, nearest } from './suggestion.ts'
import { isNothing, nodeAt, type Path, placeOf, renderPath, type Scalar, type Tree } from './tree.ts'

type Issue = z.core.$ZodIssue

/**
 * Reads a part of the config by its schema. What is wrong becomes complaints, each with its place; then the answer is undefined.
 * `alsoKnown` are keys of the same map that are read elsewhere, for suggestions.
 */
export function judge<T extends z.ZodType>(
  tree: Tree,
  schema: T,
  base: Path,
  complaints: Complaints,
  alsoKnown: readonly string[] = [],
): z.output<T> | undefined {
  const value = shape(tree, schema)
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const teller = new Teller(tree, schema, base, complaints, alsoKnown)
  for (const issue of result.error.issues) teller.tell(issue, [])
  return undefined
}

/** Turns what zod found into complaints. It never prints a value: only the text of the file, and not even that where a variable was put in. */
class Teller {
  readonly #root: Tree
  readonly #schema: z.core.$ZodType
  readonly #base: Path
  readonly #complaints: Complaints
  readonly #alsoKnown: readonly string[]

  constructor(root: Tree, schema: z.core.$ZodType, base: Path, complaints: Complaints, alsoKnown: readonly string[]) {
    this.#alsoKnown = alsoKnown
    this.#root = root
    this.#schema = schema
    this.#base = base
    this.#complaints = complaints
  }

  tell(issue: Issue, above: Path): undefined {
    const path: Path = [...above, ...issue.path.filter(step => typeof step !== 'symbol')]
    const found = nodeAt(this.#root, path)
    if (found?.node.kind === 'scalar' && found.node.broken) return
    if (issue.code === 'unrecognized_keys') return this.#unknownKeys(issue.keys, path)
    const words = discriminatorWords(issue)
    if (words !== undefined) return this.#discriminator(path, words, found?.node)
    if (found === undefined) return this.#missing(path)
    if (isNothing(found.node)) return this.#say(path, found.keyAt, 'has no value', this.#expected(path, 'or remove the key'))
    if (issue.code === 'invalid_key') return this.#say(path, found.keyAt, 'a key that is refused here', firstMessage(issue.issues))
    if (issue.code === 'invalid_union') return this.#union(issue, path, found.node)
    this.#wrong(issue, path, found.node)
  }

  #wrong(issue: Issue, path: Path, node: Tree): undefined {
    const at = node.at
    const scalar = node.kind === 'scalar' ? node : undefined
    if (issue.code === 'custom') {
      // our own leaves and checks put it there; anything else is told without
      const params = issue.params as Partial<LeafParams> | undefined
      const shown = scalar === undefined || scalar.interpolated ? undefined : scalar.source
      const remedy = params?.remedy?.(shown) ?? this.#expected(path)
      // a leaf says what its text is not; anything else is a sentence of its own
      const subject = scalar === undefined ? '' : `${shownText(scalar)}${issue.message.startsWith('not ') ? ' is ' : ': '}`
      return this.#say(path, at, `${subject}${withoutValue(issue.message, scalar)}`, remedy)
    }
    if (issue.code === 'invalid_value') {
      const words = issue.values.map(String)
      return this.#say(path, at, `${describe(node)} is not known here`, wordRemedy(scalar, words))
    }
    if (issue.code === 'invalid_type')
      return this.#say(path, at, `${describe(node)} where ${typeWord(issue.expected)} is wanted`, this.#expected(path))
    if (issue.code === 'too_small' || issue.code === 'too_big') {
      return this.#say(path, at, `${describe(node)} is ${issue.code === 'too_small' ? 'too small' : 'too large'}`, boundRemedy(issue))
    }
    this.#say(path, at, `${describe(node)} has a wrong form`, ownSentence(issue.message, scalar) ?? this.#expected(path))
  }

  #unknownKeys(keys: readonly string[], path: Path): undefined {
    const own = Object.keys(this.#shapeAt(path))
    const known = path.length === 0 ? [...new Set([...own, ...this.#alsoKnown])] : own
    for (const key of keys) this.#say([...path, key], placeOf(this.#root, [...path, key]), 'unknown key', instead(key, known))
  }

  #missing(path: Path): undefined {
    const owner = nodeAt(this.#root, path.slice(0, -1))?.node
    const unknown =
      owner?.kind === 'mapping' ? [...owner.entries.keys()].filter(key => !Object.hasOwn(this.#shapeAt(path.slice(0, -1)), key)) : []
    // a misspelt key is told as such, and is not missing as well
    if (unknown.some(key => nearest(key, [String(path.at(-1))]) !== undefined)) return
    this.#say(path, placeOf(this.#root, path.slice(0, -1)), 'is missing', this.#expected(path))
  }

  #discriminator(path: Path, words: readonly string[], node: Tree | undefined): undefined {
    if (node === undefined) return this.#say(path, placeOf(this.#root, path.slice(0, -1)), 'is missing', `write ${oneOf(words)}`)
    this.#say(path, node.at, `${describe(node)} is not known here`, wordRemedy(node.kind === 'scalar' ? node : undefined, words))
  }

  #union(issue: Extract<Issue, { code: 'invalid_union' }>, path: Path, node: Tree): undefined {
    const options = optionsOf(this.#schemaAt(path))
    const branch = node.kind === 'mapping' ? branchFor(this.#schemaAt(path), node) : options.find(option => fits(option, node))
    const inner = branch === undefined ? undefined : issue.errors[options.indexOf(branch)]
    if (inner !== undefined && node.kind !== 'scalar') {
      for (const each of inner) this.tell(each, path)
      return
    }
    const custom = issue.errors.flat().find(each => each.code === 'custom')
    if (custom !== undefined && node.kind === 'scalar') return this.#wrong(custom, path, node)
    this.#say(path, node.at, `${describe(node)} does not fit here`, this.#expected(path))
  }

  #schemaAt(path: Path): z.core.$ZodType {
    let schema = this.#schema
    let tree: Tree | undefined = this.#root
    for (const [index, step] of path.entries()) {
      if (typeof step === 'number') schema = elementOf(schema)
      else schema = memberOf(tree?.kind === 'mapping' ? branchFor(schema, tree) : schema, step)
      tree = nodeAt(this.#root, path.slice(0, index + 1))?.node
    }
    return schema
  }

  /** The members that a map at this path may have. */
  #shapeAt(path: Path): Readonly<Record<string, unknown>> {
    const owner = nodeAt(this.#root, path)?.node
    const schema = this.#schemaAt(path)
    const { def } = (owner?.kind === 'mapping' ? branchFor(schema, owner) : bare(schema))._zod
    return def.type === 'object' ? def.shape : {}
  }

  #expected(path: Path, more = ''): string {
    const schema = this.#schemaAt(path)
    return `write ${expectation(schema)}${more === '' ? '' : `, ${more}`}`
  }

  #say(path: Path, at: Position, message: string, remedy: string): undefined {
    this.#complaints.error(at, renderPath([...this.#base, ...path]), message, remedy)
  }
}

const shownMax = 60

/** The text of a scalar as messages may show it: as it stands in the file, never what a variable put in. */
export function shownText(scalar: Scalar): string {
  return JSON.stringify(scalar.source.length > shownMax ? `${scalar.source.slice(0, shownMax)}…` : scalar.source)
}

function describe(node: Tree): string {
  if (node.kind === 'sequence') return 'a list'
  if (node.kind === 'mapping') return 'a map'
  return node.plain || node.interpolated ? shownText(node) : `the quoted text ${shownText(node)}`
}

// zod adds the words it would have taken to the issue, and does not say so in its type
function discriminatorWords(issue: Issue): readonly string[] | undefined {
  return issue.code === 'invalid_union' && 'options' in issue && Array.isArray(issue.options) ? issue.options.map(String) : undefined
}

function fits(option: z.core.$ZodTypes, node: Tree): boolean {
  const type = option._zod.def.type
  if (node.kind === 'sequence') return type === 'array'
  return node.kind === 'mapping' ? type === 'object' || type === 'record' : type !== 'array' && type !== 'object' && type !== 'record'
}

// what an adapter says of a form that it wants is better than anything that can be said here
function ownSentence(message: string, scalar: Scalar | undefined): string | undefined {
  const own = withoutValue(message, scalar)
  return own === message && !/^(Invalid|Too) /.test(message) ? message : undefined
}

// a schema of an adapter may quote the value it refuses; where a variable was put in, its sentence is not passed on
function withoutValue(message: string, scalar: Scalar | undefined): string {
  return scalar?.interpolated && scalar.text !== '' && message.includes(scalar.text) ? 'is refused' : message
}

function wordRemedy(scalar: Scalar | undefined, words: readonly string[]): string {
  const near = scalar === undefined || scalar.interpolated ? undefined : nearest(scalar.source, words)
  return near === undefined ? `write ${oneOf(words)}` : `did you mean ${near}?`
}

function oneOf(words: readonly string[]): string {
  return words.length === 1 ? `${words[0]}` : `one of ${listed(words)}`
}

function boundRemedy(issue: Extract<Issue, { code: 'too_small' | 'too_big' }>): string {
  const small = issue.code === 'too_small'
  const bound = String(small ? issue.minimum : issue.maximum)
  const side = small ? 'at least' : 'at most'
  if (issue.origin === 'string') return small && bound === '1' ? 'write some text' : `write ${side} ${bound} characters`
  return issue.origin === 'array' ? `write ${side} ${bound} ${bound === '1' ? 'item' : 'items'}` : `write ${side} ${bound}`
}

function firstMessage(issues: readonly Issue[]): string {
  const issue = issues[0]
  const params = issue?.code === 'custom' ? (issue.params as Partial<LeafParams> | undefined) : undefined
  return params?.remedy?.() ?? 'choose another name'
}

function typeWord(expected: string): string {
  const words: Readonly<Record<string, string>> = {
    string: 'text',
    number: 'a number',
    int: 'a whole number',
    boolean: 'true or false',
    array: 'a list',
    object: 'a map',
    record: 'a map',
  }
  return words[expected] ?? expected
}

/** What a schema asks for, in words: its description and example where it has them. */
function expectation(schema: z.core.$ZodType): string {
  const words = fixedWords(schema)
  if (words !== undefined) return oneOf(words)
  const meta = metaOf(schema)
  if (meta !== undefined) {
    const example = exampleOf(meta)
    return `${asPhrase(meta.description ?? 'a value')}${example === undefined ? '' : `, such as ${example}`}`
  }
  const options = optionsOf(schema)
  if (options.length > 1) return [...new Set(options.map(expectation))].join(' or ')
  const definition = bare(schema)._zod.def
  const { type } = definition
  if (type === 'string' && 'format' in definition && definition.format === 'url') return 'a URL, such as https://example.com'
  return type === 'object' || type === 'record'
    ? `a map: ${memberList(schema)}`
    : type === 'array'
      ? `a list: [${itemWord(schema)}]`
      : typeWord(type)
}

function asPhrase(description: string): string {
  return description.replace(/\.$/, '').replace(/^[A-Z](?=[a-z ])/, letter => letter.toLowerCase())
}

function memberList(schema: z.core.$ZodType): string {
  const definition = bare(schema)._zod.def
  return definition.type === 'object' ? `{ ${Object.keys(definition.shape).slice(0, 4).join(': ..., ')}: ... }` : '{ name: ... }'
}

function itemWord(schema: z.core.$ZodType): string {
  const element = elementOf(schema)
  return exampleOf(metaOf(element)) ?? '...'
}

function exampleOf(meta: z.core.GlobalMeta | undefined): string | undefined {
  const { examples } = meta ?? {}
  return Array.isArray(examples) && examples.length > 0 ? String(examples[0]) : undefined
}

function metaOf(schema: z.core.$ZodType): z.core.GlobalMeta | undefined {
  // walks from the outside in, so that a description beside `.optional()` is found wherever it was put
  const meta = (schema as z.ZodType).meta?.()
  if (meta?.description !== undefined) return meta
  const definition = (schema as z.core.$ZodTypes)._zod.def
  if ('innerType' in definition) return metaOf(definition.innerType)
  return definition.type === 'pipe' ? metaOf(definition.in) : undefined
}
