import type { z } from 'zod'
import type { Complaints } from './complaint.ts'
import { judge } from './judge.ts'
import { bare, memberOf } from './shape.ts'
import { instead } from './suggestion.ts'
import { type Mapping, type Path, renderPath, type Tree } from './tree.ts'

/** A section that must be a map; undefined after a complaint, an empty map where there is none. */
export function mappingAt(root: Mapping, key: string, complaints: Complaints): Mapping | undefined {
  const entry = root.entries.get(key)
  if (entry === undefined) return { kind: 'mapping', at: root.at, entries: new Map() }
  return asMapping(entry.value, [key], complaints)
}

/** The node as a map; undefined after a complaint. */
export function asMapping(tree: Tree, path: Path, complaints: Complaints): Mapping | undefined {
  if (tree.kind === 'mapping') return tree
  if (tree.kind === 'scalar' && tree.broken) return undefined
  const found = tree.kind === 'sequence' ? 'a list' : tree.text === '' && tree.plain ? 'nothing' : 'text'
  complaints.error(tree.at, renderPath(path), `${found} where a map is wanted`, 'write keys with values below it, or remove it')
  return undefined
}

/**
 * Judges each member of a map by itself, so that one wrong key takes nothing else with it. Answers the members that are right;
 * members that are left out get the schema's default.
 */
export function judgeEach<T extends z.ZodObject>(
  tree: Mapping,
  schema: T,
  base: Path,
  complaints: Complaints,
  alsoKnown: readonly string[] = [],
): Partial<z.output<T>> {
  const definition = bare(schema)._zod.def
  const known = definition.type === 'object' ? Object.keys(definition.shape) : []
  const result: Record<string, unknown> = {}
  for (const [key, entry] of tree.entries) {
    if (!known.includes(key)) {
      complaints.error(entry.at, renderPath([...base, key]), 'unknown key', instead(key, [...known, ...alsoKnown]))
      continue
    }
    // a member of a ZodObject is a ZodType; the core's type of `memberOf` is the wider one
    const value = judge(entry.value, memberOf(schema, key) as z.ZodType, [...base, key], complaints)
    if (value !== undefined) result[key] = value
  }
  // the keys are those of the schema and each value was made by its member
  return result as Partial<z.output<T>>
}
