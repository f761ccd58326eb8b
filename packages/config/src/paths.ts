import { dirname, resolve } from 'node:path'
import type { Entry, Mapping, Tree } from './tree.ts'

const pathKeys = /^(file|ca|cert|folder|data|\w*File)$/

/** The same tree with every path in it absolute: relative ones start from the file they stand in. */
export function absolutePaths<T extends Tree>(tree: T, cwd: string, isPath = false): T {
  // each branch answers the kind it was given
  return resolved(tree, cwd, isPath) as T
}

function resolved(tree: Tree, cwd: string, isPath: boolean): Tree {
  if (tree.kind === 'scalar') {
    // some options take a certificate itself in place of its file
    const isFile = isPath && tree.text !== '' && !tree.text.includes('\n') && !tree.broken
    return isFile ? { ...tree, text: resolve(cwd, dirname(tree.at.file), tree.text) } : tree
  }
  if (tree.kind === 'sequence') return { ...tree, items: tree.items.map(item => resolved(item, cwd, isPath)) }
  return mapEntries(tree, (key, entry) => {
    // what entries, rules and claims name is no file of ours
    if (key === 'secrets' || key === 'claims') return entry.value
    return resolved(entry.value, cwd, pathKeys.test(key) || key === 'policies')
  })
}

function mapEntries(tree: Mapping, map: (key: string, entry: Entry) => Tree): Mapping {
  return { ...tree, entries: new Map([...tree.entries].map(([key, entry]) => [key, { ...entry, value: map(key, entry) }])) }
}
