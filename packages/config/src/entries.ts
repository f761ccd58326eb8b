import { BrokerError } from '@keyturn/core'
import type { Position } from '@keyturn/policy'
import type { Complaints } from './complaint.ts'
import type { PrefixEntry, SecretPlace } from './config.ts'
import type { FileReader } from './include.ts'
import { judge, shownText } from './judge.ts'
import { checkedName } from './names.ts'
import { entrySchema } from './schema/store-section.ts'
import type { OpenSection } from './store-sections.ts'
import { nodeAt, type Path, renderPath, type Scalar, type Tree } from './tree.ts'

/** One entry of a store by `path`. */
export interface PathEntry {
  readonly store: string
  readonly path: string
  readonly key: string | null
  readonly name: string
  /** The name as messages may show it: never with the value of a variable in it. */
  readonly shown: string
  readonly shownPath: string
  readonly format: SecretPlace['format']
  readonly at: Position
  /** The entry's own path in the config. */
  readonly where: string
}

export interface Entries {
  readonly paths: readonly PathEntry[]
  readonly prefixes: readonly PrefixEntry[]
  /** Some entry could not be read. */
  readonly incomplete: boolean
}

/** Reads what a store section serves. */
export async function readEntries(open: OpenSection, reader: FileReader, complaints: Complaints): Promise<Entries> {
  const { section, kind, list } = open
  if (list === undefined) return readUnlisted(open, reader, complaints)
  if (list.kind !== 'sequence') {
    const broken = list.kind === 'scalar' && list.broken
    if (!broken) complaints.error(list.at, renderPath([section.name, 'secrets']), 'no list of entries', 'write - path: ... for each secret')
    return { paths: [], prefixes: [], incomplete: true }
  }
  if (list.items.length === 0 && kind.unlisted === undefined) {
    complaints.error(list.at, renderPath([section.name, 'secrets']), 'an empty list serves nothing', 'name what to serve: - path: ...')
  }
  const reading = new EntryReading(open, complaints)
  for (const [index, item] of list.items.entries()) reading.add(item, [section.name, 'secrets', index])
  return reading
}

async function readUnlisted(open: OpenSection, reader: FileReader, complaints: Complaints): Promise<Entries> {
  const { section, kind } = open
  const nothing = { paths: [], prefixes: [], incomplete: false }
  if (kind.unlisted === 'any') return nothing
  if (kind.unlisted === undefined) {
    complaints.error(
      section.at,
      section.name,
      `a store of kind ${section.kind} does not say what it serves`,
      'write secrets: with - path: ... for each secret',
    )
    return { ...nothing, incomplete: true }
  }
  try {
    const paths = await kind.unlisted.paths(section.options, path => reader.read(path))
    const reading = new EntryReading(open, complaints)
    for (const path of paths) reading.addPath(path)
    return reading
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      complaints.warning(
        section.at,
        section.name,
        'its file is not there yet: nothing is served from it',
        'make the file, or correct its path',
      )
      return nothing
    }
    const said =
      error instanceof BrokerError ? error.message : error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
    complaints.error(
      section.at,
      section.name,
      `what it serves cannot be listed: ${said}`,
      'make the file readable, or name what to serve: - path: ...',
    )
    return { ...nothing, incomplete: true }
  }
}

class EntryReading implements Entries {
  readonly paths: PathEntry[] = []
  readonly prefixes: PrefixEntry[] = []
  incomplete = false
  readonly #open: OpenSection
  readonly #complaints: Complaints

  constructor(open: OpenSection, complaints: Complaints) {
    this.#open = open
    this.#complaints = complaints
  }

  add(item: Tree, where: Path): void {
    const entry = judge(item, entrySchema, where, this.#complaints)
    const { section } = this.#open
    if (entry === undefined) {
      this.incomplete = true
      return
    }
    // the schema took these members for text, so they are scalars
    const node = (key: string) => nodeAt(item, [key])?.node as Scalar | undefined
    if ('under' in entry) {
      const under = node('under')
      const format = this.#format(entry.format, item, where)
      const name = this.#prefixName(entry.under, entry.name, under, where)
      if (name === undefined) this.incomplete = true
      else this.prefixes.push({ store: section.name, under: entry.under, name, format, at: item.at })
      return
    }
    const pathNode = node('path')
    const nameNode = entry.name === undefined ? pathNode : node('name')
    const name = entry.name ?? this.#nameOf(entry.path, pathNode, renderPath([...where, 'path']))
    const named =
      name === undefined
        ? undefined
        : checkedName(name, nameNode, renderPath([...where, entry.name === undefined ? 'path' : 'name']), this.#complaints)
    const keyFits = this.#keyFits(entry.key, item, where)
    if (named === undefined || !keyFits) {
      this.incomplete = true
      return
    }
    this.paths.push({
      store: section.name,
      path: entry.path,
      key: entry.key ?? null,
      name: named,
      shown: nameNode?.interpolated ? `of ${shownText(nameNode)}` : named,
      shownPath: pathNode?.source ?? entry.path,
      format: this.#format(entry.format, item, where, entry.key),
      at: item.at,
      where: renderPath(where),
    })
  }

  /** A path that the kind listed by itself. */
  addPath(path: string): void {
    const { section } = this.#open
    const name = this.#nameOf(path, undefined, section.name)
    const at: Scalar = { kind: 'scalar', at: section.at, text: path, source: path, plain: true, interpolated: false, broken: false }
    const named = name === undefined ? undefined : checkedName(name, at, section.name, this.#complaints)
    if (named === undefined) return
    const format = this.#open.kind.holds === 'text' ? 'text' : 'fields'
    this.paths.push({
      store: section.name,
      path,
      key: null,
      name: named,
      shown: named,
      shownPath: path,
      format,
      at: section.at,
      where: section.name,
    })
  }

  #nameOf(path: string, node: Scalar | undefined, where: string): string | undefined {
    const { section, kind } = this.#open
    try {
      return kind.nameOf(path, section.options)
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error
      const told =
        node?.interpolated || error.code !== 'invalid_argument'
          ? `a path that a store of kind ${section.kind} does not accept`
          : error.message
      this.#complaints.error(
        node?.at ?? section.at,
        where,
        told,
        (node?.interpolated ? undefined : error.hint) ?? 'check the path, or write name: beside it',
      )
      return undefined
    }
  }

  #prefixName(under: string, name: string | undefined, node: Scalar | undefined, where: Path): string | undefined {
    const at = node?.at ?? this.#open.section.at
    if (under !== '' && !under.endsWith('/')) {
      this.#complaints.error(
        at,
        renderPath([...where, 'under']),
        'a prefix that does not end in /',
        'write it with a final /, such as prod/payments/',
      )
      return undefined
    }
    const prefix = name ?? this.#defaultPrefix(under, node, where)
    if (prefix === undefined || prefix === '') return prefix
    if (!prefix.endsWith('/')) {
      this.#complaints.error(
        at,
        renderPath([...where, 'name']),
        'a prefix of names that does not end in /',
        'write it with a final /, such as payments/',
      )
      return undefined
    }
    const named = checkedName(prefix.slice(0, -1), node, renderPath([...where, 'name']), this.#complaints)
    return named === undefined ? undefined : `${named}/`
  }

  #defaultPrefix(under: string, node: Scalar | undefined, where: Path): string | undefined {
    const name = this.#nameOf(under.slice(0, -1), node, renderPath([...where, 'under']))
    return name === undefined ? undefined : `${name}/`
  }

  #keyFits(key: string | undefined, item: Tree, where: Path): boolean {
    const { kind, section } = this.#open
    if (key !== undefined && kind.keyed === 'none') {
      const at = nodeAt(item, ['key'])?.keyAt ?? item.at
      this.#complaints.error(at, renderPath([...where, 'key']), `a store of kind ${section.kind} has no fields in a path`, 'remove key')
      return false
    }
    if (key === undefined && kind.keyed === 'required') {
      this.#complaints.error(
        item.at,
        renderPath([...where, 'key']),
        `a store of kind ${section.kind} needs the name of a field`,
        'write key: beside path',
      )
      return false
    }
    return true
  }

  #format(format: 'text' | 'json' | undefined, item: Tree, where: Path, key?: string): SecretPlace['format'] {
    const holds = this.#open.kind.holds ?? 'fields'
    const at = nodeAt(item, ['format'])?.keyAt ?? item.at
    const where_ = renderPath([...where, 'format'])
    if (format !== undefined && holds !== 'text') {
      this.#complaints.error(at, where_, `a store of kind ${this.#open.section.kind} has one form only`, 'remove format')
    } else if (format === 'text' && key !== undefined) {
      this.#complaints.error(at, where_, 'a text has no fields, but key names one', 'remove key, or write format: json')
    }
    if (holds === 'fields') return 'fields'
    if (holds === 'either') return 'stored'
    return format ?? (key === undefined ? 'text' : 'json')
  }
}
