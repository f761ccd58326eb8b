import { z } from 'zod'
import { nearest } from './suggestion.ts'
import { isNothing, type Mapping, type Scalar, type Tree } from './tree.ts'

/** Stands for a scalar that was complained about: no schema accepts it, and no complaint about it is passed on. */
export const brokenValue: unique symbol = Symbol('broken')

/** The schema behind optional, default and the like: what a value in the file is read by. */
export function bare(schema: z.core.$ZodType): z.core.$ZodTypes {
  // zod's own classes are the members of this union; the cast only names what the class hierarchy hides
  const known = schema as z.core.$ZodTypes
  const definition = known._zod.def
  switch (definition.type) {
    case 'optional':
    case 'nullable':
    case 'default':
    case 'prefault':
    case 'nonoptional':
    case 'catch':
    case 'readonly':
      return bare(definition.innerType)
    case 'pipe':
      return bare(definition.in)
    case 'lazy':
      return bare(definition.getter())
    default:
      return known
  }
}

/**
 * The plain value that a schema is to judge: texts become numbers and booleans only where the schema wants them, and only in
 * the strict form of YAML 1.2. What does not fit is left as text, for the schema to refuse.
 */
export function shape(tree: Tree, schema: z.core.$ZodType): unknown {
  const wanted = bare(schema)
  if (tree.kind === 'scalar') return shapeScalar(tree, primitives(wanted))
  if (tree.kind === 'sequence') {
    const element = elementOf(wanted)
    return tree.items.map(item => shape(item, element))
  }
  const branch = branchFor(wanted, tree)
  return Object.fromEntries([...tree.entries].map(([key, entry]) => [key, shape(entry.value, memberOf(branch, key))]))
}

/** The schema of one member of a map. */
export function memberOf(schema: z.core.$ZodType, key: string): z.core.$ZodType {
  const definition = bare(schema)._zod.def
  if (definition.type === 'object') {
    const member = Object.hasOwn(definition.shape, key) ? definition.shape[key] : undefined
    return member ?? (definition.catchall === undefined || definition.catchall._zod.def.type === 'never' ? anything : definition.catchall)
  }
  return definition.type === 'record' ? definition.valueType : anything
}

/** The schema of the items of a list. */
export function elementOf(schema: z.core.$ZodType): z.core.$ZodType {
  for (const option of optionsOf(schema)) {
    const definition = option._zod.def
    if (definition.type === 'array') return definition.element
  }
  return anything
}

const anything = z.any()

/** The alternatives of a union, unfolded; any other schema alone. */
export function optionsOf(schema: z.core.$ZodType): readonly z.core.$ZodTypes[] {
  const known = bare(schema)
  const definition = known._zod.def
  return definition.type === 'union' ? definition.options.flatMap(optionsOf) : [known]
}

/** Which alternative of a union a map is meant to be: the one whose fixed words it has, else the one that knows most of its keys. */
export function branchFor(schema: z.core.$ZodType, tree: Mapping): z.core.$ZodTypes {
  const options = optionsOf(schema).filter(option => option._zod.def.type === 'object' || option._zod.def.type === 'record')
  const scored = options.map(option => ({ option, score: scoreOf(option, tree) }))
  scored.sort((a, b) => b.score - a.score)
  return scored[0]?.option ?? bare(schema)
}

function scoreOf(option: z.core.$ZodTypes, tree: Mapping): number {
  const definition = option._zod.def
  if (definition.type !== 'object') return 0
  let score = 0
  for (const [key, entry] of tree.entries) {
    if (!Object.hasOwn(definition.shape, key)) {
      if (nearest(key, Object.keys(definition.shape)) !== undefined) score += 0.5
      continue
    }
    const words = fixedWords(definition.shape[key])
    if (words === undefined) score += 1
    else score += entry.value.kind === 'scalar' && words.includes(entry.value.text) ? 100 : -100
  }
  return score
}

/** The words of a literal or an enum, as text; undefined for any other schema. */
export function fixedWords(schema: z.core.$ZodType | undefined): readonly string[] | undefined {
  if (schema === undefined) return undefined
  const definition = bare(schema)._zod.def
  if (definition.type === 'literal') return definition.values.map(String)
  if (definition.type === 'enum') return Object.values(definition.entries).map(String)
  return undefined
}

type Primitive = 'string' | 'number' | 'boolean' | 'any'

function primitives(schema: z.core.$ZodTypes): ReadonlySet<Primitive> {
  const wanted = new Set<Primitive>()
  for (const option of optionsOf(schema)) {
    const definition = option._zod.def
    if (definition.type === 'string' || definition.type === 'number' || definition.type === 'boolean') wanted.add(definition.type)
    if (definition.type === 'any' || definition.type === 'unknown') wanted.add('any')
    const values = definition.type === 'literal' ? definition.values : definition.type === 'enum' ? Object.values(definition.entries) : []
    for (const value of values) {
      const type = typeof value
      if (type === 'string' || type === 'number' || type === 'boolean') wanted.add(type)
    }
  }
  return wanted
}

function shapeScalar(scalar: Scalar, wanted: ReadonlySet<Primitive>): unknown {
  if (scalar.broken) return brokenValue
  if (isNothing(scalar)) return null
  if (scalar.plain || scalar.interpolated) {
    if (wanted.has('boolean') && /^(true|false)$/.test(scalar.text)) return scalar.text === 'true'
    if (wanted.has('number')) {
      const number = exactNumber(scalar.text)
      if (number !== undefined) return number
    }
  }
  return scalar.text
}

// decimal as JSON writes it; a whole number that a double cannot hold is not taken, because it would be changed
function exactNumber(text: string): number | undefined {
  if (!/^-?(0|[1-9]\d{0,15})(\.\d{1,15})?$/.test(text)) return undefined
  const number = Number(text)
  return Number.isInteger(number) && !Number.isSafeInteger(number) ? undefined : number
}
