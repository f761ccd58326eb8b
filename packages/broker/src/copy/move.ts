import type { ErrorCode, SecretName, StorePath } from '@keyturn/core'
import type { Kept, Place } from './places.ts'

/** What a copy does, or did, with one secret. */
export interface CopyRow {
  /** The broker's name; the store's own path where that is no name. */
  readonly name: string
  readonly from: string
  /** Null: there is no place for it. */
  readonly to: string | null
  /**
   * `create`, `replace`: it is to be written. `same`: it is there. `absent`: there is nothing to copy. `cannot`: the config has to say something else.
   * `failed`: it could not be looked at.
   */
  readonly action: 'create' | 'replace' | 'same' | 'absent' | 'cannot' | 'failed'
  /** How many versions are to be written. */
  readonly versions: number
  readonly why: string | null
  /** The error behind a failure. */
  readonly code?: ErrorCode
}

/** One secret on its way. */
export interface Item {
  readonly name: SecretName
  readonly from: Place
  readonly to: Place
}

/** One path of the new store with everything that goes there: what shares a path is written at once. */
export interface Move {
  readonly path: StorePath
  readonly items: readonly Item[]
}

/** Secrets as moves, and a row for each that has no place of its own. What is another store's goes nowhere. */
export function movesOf(
  kept: readonly Kept[],
  placeOf: (name: SecretName) => Place | undefined,
  to: string,
): { moves: readonly Move[]; refused: readonly CopyRow[] } {
  const refused: CopyRow[] = []
  const items: Item[] = []
  for (const each of kept) {
    if ('elsewhere' in each) continue
    if ('unnamed' in each) {
      refused.push(cannot(each.unnamed, each.unnamed, null, 'its path is no name of a secret: give it one with - path: ... and name: ...'))
      continue
    }
    const place = placeOf(each.name)
    if (place === undefined)
      refused.push(cannot(each.name, each.place.path, null, `${to} has no place for it: add - path: ... with name: ${each.name}`))
    else items.push({ name: each.name, from: each.place, to: place })
  }
  const groups = [...Map.groupBy(items, item => item.to.path)]
  const moves: Move[] = []
  for (const [path, sharing] of groups) {
    const clash = clashOf(sharing)
    if (clash === undefined) moves.push({ path, items: sharing })
    else for (const { name, from } of sharing) refused.push(cannot(name, from.path, path, clash))
  }
  return { moves, refused }
}

/** Why several secrets cannot share one path: one is all of it, or two are one field. */
function clashOf(items: readonly Item[]): string | undefined {
  if (items.length === 1) return undefined
  const keys = items.flatMap(({ to }) => to.fields ?? [])
  const isWhole = items.some(({ to }) => to.fields === null)
  if (!isWhole && new Set(keys).size === keys.length) return undefined
  return `${items.map(({ name }) => name).join(' and ')} would be the same there: give each a path or a key of its own`
}

function cannot(name: string, from: string, to: string | null, why: string): CopyRow {
  return { name, from, to, action: 'cannot', versions: 0, why }
}
