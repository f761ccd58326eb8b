import type { Position } from '@keyturn/policy'

/**
 * What a YAML file says, without types: every scalar is its text, every node knows its place. Types come from the schema
 * that asks, so that `0777` and `1.10` stay as they were typed wherever text is wanted.
 */
export type Tree = Scalar | Sequence | Mapping

export interface Scalar {
  readonly kind: 'scalar'
  readonly at: Position
  /** The text with variables put in. */
  readonly text: string
  /** The text as it stands in the file: what messages may show. */
  readonly source: string
  /** Written without quotes, so that `true`, `5` or nothing at all can be meant. */
  readonly plain: boolean
  /** A variable was put in: the text may be a secret. */
  readonly interpolated: boolean
  /** A complaint was made about this scalar already: nothing that follows from it is worth another. */
  readonly broken: boolean
}

export interface Sequence {
  readonly kind: 'sequence'
  readonly at: Position
  readonly items: readonly Tree[]
}

export interface Mapping {
  readonly kind: 'mapping'
  readonly at: Position
  readonly entries: ReadonlyMap<string, Entry>
}

export interface Entry {
  /** Where the key stands. */
  readonly at: Position
  readonly value: Tree
}

export type Path = readonly (string | number)[]

/** The node at a path below `root`, with the place of its key; undefined where the file has none. */
export function nodeAt(root: Tree, path: Path): { readonly node: Tree; readonly keyAt: Position } | undefined {
  let node = root
  let keyAt = root.at
  for (const step of path) {
    if (node.kind === 'mapping') {
      const entry = node.entries.get(String(step))
      if (entry === undefined) return undefined
      keyAt = entry.at
      node = entry.value
    } else if (node.kind === 'sequence' && typeof step === 'number') {
      const item = node.items[step]
      if (item === undefined) return undefined
      keyAt = item.at
      node = item
    } else {
      return undefined
    }
  }
  return { node, keyAt }
}

/** The place of the deepest part of a path that exists. */
export function placeOf(root: Tree, path: Path): Position {
  for (let length = path.length; length > 0; length--) {
    const found = nodeAt(root, path.slice(0, length))
    if (found !== undefined) return found.keyAt
  }
  return root.at
}

/** A path as people write it: `secrets.app/db.verify[0].http`; a key with a dot or a space in quotes. */
export function renderPath(path: Path): string {
  return path
    .map((step, index) => {
      if (typeof step === 'number') return `[${step}]`
      if (step.length > 80 || !/^[^\s."'[\]]+$/.test(step)) return `[${JSON.stringify(step.length > 80 ? `${step.slice(0, 80)}…` : step)}]`
      return index === 0 ? step : `.${step}`
    })
    .join('')
}

/** Whether nothing is written: `key:`, `~` or `null`. */
export function isNothing(node: Tree): boolean {
  return node.kind === 'scalar' && node.plain && !node.interpolated && /^(|~|null|Null|NULL)$/.test(node.text)
}

/** Every scalar below a node, with its path, in the order of the file. */
export function* scalarsOf(node: Tree, path: Path = []): Generator<{ readonly scalar: Scalar; readonly path: Path }> {
  if (node.kind === 'scalar') yield { scalar: node, path }
  else if (node.kind === 'sequence') for (const [index, item] of node.items.entries()) yield* scalarsOf(item, [...path, index])
  else for (const [key, entry] of node.entries) yield* scalarsOf(entry.value, [...path, key])
}
