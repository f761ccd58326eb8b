import type { SecretName, StorePath } from '@keyturn/core'
import type { Position } from '@keyturn/policy'
import type { Complaints } from './complaint.ts'
import type { PrefixEntry, SecretPlace, StoreSection } from './config.ts'
import type { PathEntry } from './entries.ts'

/** A name that entries give, with every place where it is kept, one a store. */
export interface Kept {
  readonly name: SecretName
  readonly shown: string
  readonly places: readonly (SecretPlace & { readonly at: Position; readonly where: string })[]
}

/** Joins the entries of all stores by name, and refuses what two of them cannot both mean. */
export function takeInventory(entries: readonly PathEntry[], complaints: Complaints): ReadonlyMap<SecretName, Kept> {
  for (const group of grouped(entries, entry => JSON.stringify([entry.store, entry.path]))) refuseSharedPath(group, complaints)
  const inventory = new Map<SecretName, Kept>()
  for (const group of grouped(entries, entry => entry.name)) {
    const first = group[0]
    if (first === undefined) continue
    const places = grouped(group, entry => entry.store).flatMap(inStore => placeOf(inStore, complaints) ?? [])
    // checked when the entry was read
    const name = first.name as SecretName
    inventory.set(name, { name, shown: first.shown, places })
  }
  return inventory
}

/** Refuses one path of one backend that two sections serve: two environments on it would rotate each other's secret. */
export function refuseSharedBackends(
  entries: readonly PathEntry[],
  stores: ReadonlyMap<string, StoreSection>,
  complaints: Complaints,
): void {
  const backends = new Map([...stores.values()].map(section => [section.name, backendOf(section)]))
  for (const group of grouped(entries, entry => JSON.stringify([backends.get(entry.store), entry.path]))) {
    const first = group[0]
    for (const entry of group) {
      if (first === undefined || entry.store === first.store) continue
      const both = `${entry.store} and ${first.store} are one backend`
      const message = `${both}, and both serve the path ${JSON.stringify(entry.shownPath)}; first at ${place(first.at)}`
      complaints.error(entry.at, entry.where, message, 'keep it in one section, or give each environment a path of its own')
    }
  }
}

/** Refuses two prefixes that claim the same names. */
export function refuseSharedPrefixes(prefixes: readonly PrefixEntry[], complaints: Complaints): void {
  for (const group of grouped(prefixes, prefix => prefix.name)) {
    for (const prefix of group.slice(1)) {
      const first = group[0]
      if (first === undefined) continue
      const message = `two prefixes give the same names; first in ${first.store} at ${place(first.at)}`
      complaints.error(prefix.at, `${prefix.store}.secrets`, message, 'give one of them another name:')
    }
  }
}

function refuseSharedPath(group: readonly PathEntry[], complaints: Complaints): void {
  const byKey = new Map<string | null, PathEntry>()
  const byName = new Map<string, PathEntry>()
  for (const entry of group) {
    const same = byKey.get(entry.key)
    const named = byName.get(entry.name)
    const whole = byKey.get(null) ?? (entry.key === null ? group[0] : undefined)
    const path = JSON.stringify(entry.shownPath)
    if (same !== undefined) {
      const what = entry.key === null ? path : `the field ${entry.key} of ${path}`
      const message = same.name === entry.name ? `${what} stands twice` : `${what} has two names`
      complaints.error(entry.at, entry.where, `${message}; first at ${place(same.at)}`, 'keep one of the two')
    } else if (named !== undefined && (named.key === null) !== (entry.key === null)) {
      const message = `one entry of ${path} means all fields and another one field; first at ${place(named.at)}`
      complaints.error(entry.at, entry.where, message, 'write key in both, or in neither')
    } else if (whole !== undefined && whole !== entry) {
      complaints.error(entry.at, entry.where, `${path} has two names, one of them for all its fields`, 'write key in both entries')
    }
    if (same === undefined) byKey.set(entry.key, entry)
    if (named === undefined) byName.set(entry.name, entry)
  }
}

function placeOf(entries: readonly PathEntry[], complaints: Complaints): Kept['places'][number] | undefined {
  const first = entries[0]
  if (first === undefined) return undefined
  for (const entry of entries.slice(1)) {
    if (entry.path === first.path) continue
    const both = `${JSON.stringify(first.shownPath)} and ${JSON.stringify(entry.shownPath)}`
    const message = `two secrets have the name ${entry.shown}: ${both}; first at ${place(first.at)}`
    complaints.error(entry.at, entry.where, message, 'write another name: in one of them')
  }
  const fields = entries.filter(entry => entry.path === first.path).flatMap(entry => entry.key ?? [])
  return {
    store: first.store,
    // a path is the store's own word for a place; its adapter refuses what it cannot mean
    path: first.path as StorePath,
    fields: fields.length === 0 ? null : fields,
    format: first.format,
    at: first.at,
    where: first.where,
  }
}

// how a section logs in, and what it serves, does not make it another backend; options are the object that a kind's schema made
function backendOf(section: StoreSection): string {
  const { auth: _auth, secrets: _secrets, maxInFlight: _maxInFlight, ...identity } = section.options as Readonly<Record<string, unknown>>
  return JSON.stringify([section.kind, Object.entries(identity).sort(([a], [b]) => (a < b ? -1 : 1))])
}

function grouped<T>(items: readonly T[], key: (item: T) => string): readonly (readonly T[])[] {
  return [...Map.groupBy(items, key).values()]
}

function place(at: Position): string {
  return `${at.file}:${at.line}:${at.column}`
}
