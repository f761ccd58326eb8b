import type { Complaints, Position } from './complaint.ts'
import { type Entry, type Mapping, type Path, renderPath } from './tree.ts'

/** Joins two maps key by key, maps deeply. One leaf set in both is a complaint that names both places; the first stays. */
export function mergeMappings(first: Mapping, second: Mapping, path: Path, complaints: Complaints): Mapping {
  const entries = new Map(first.entries)
  for (const [key, entry] of second.entries) {
    const there = entries.get(key)
    entries.set(key, there === undefined ? entry : mergeEntry(there, entry, [...path, key], complaints))
  }
  return { ...first, entries }
}

function mergeEntry(first: Entry, second: Entry, path: Path, complaints: Complaints): Entry {
  if (first.value.kind === 'mapping' && second.value.kind === 'mapping') {
    return { ...first, value: mergeMappings(first.value, second.value, path, complaints) }
  }
  complaints.error(second.at, renderPath(path), `set in two files; also at ${place(first.at)}`, 'keep one of the two')
  return first
}

function place(at: Position): string {
  return `${at.file}:${at.line}:${at.column}`
}
