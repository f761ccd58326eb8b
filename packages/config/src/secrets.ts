import type { SecretName, StorePath } from '@keyturn/core'
import type { Complaints } from './complaint.ts'
import type { PrefixEntry, SecretConfig, SecretPlace, StoreSection } from './config.ts'
import type { Kept } from './inventory.ts'
import { refuseImpossible } from './promises.ts'
import { resolveSecret, type SecretContext } from './secret-config.ts'
import type { Row } from './secret-rows.ts'
import { nearest } from './suggestion.ts'
import { nodeAt, placeOf, renderPath } from './tree.ts'

/** Everything that names secrets, read. */
export interface SecretSources {
  readonly kept: ReadonlyMap<SecretName, Kept>
  /** By the broker's prefix. */
  readonly prefixes: ReadonlyMap<string, PrefixEntry>
  readonly stores: ReadonlyMap<string, StoreSection>
  readonly rows: ReadonlyMap<SecretName, Row>
  /** Names may be missing because something else was refused. */
  readonly incomplete: boolean
}

export interface Secrets {
  readonly all: ReadonlyMap<SecretName, SecretConfig>
  readonly find: (name: SecretName) => SecretConfig | undefined
}

/** Resolves every secret that an entry or a row names, and refuses what cannot be. */
export function resolveSecrets(sources: SecretSources, context: SecretContext, complaints: Complaints): Secrets {
  const names = [...new Set([...sources.kept.keys(), ...sources.rows.keys()])].sort()
  const all = new Map<SecretName, SecretConfig>()
  const homeless: Row[] = []
  for (const name of names) {
    const row = sources.rows.get(name)
    const kept = sources.kept.get(name)
    const places = kept === undefined ? takenBy(name, sources) : orderPlaces(kept, row, complaints)
    const at = row?.at ?? kept?.places[0]?.at
    if (at === undefined) continue
    const secret = resolveSecret(name, row, places, at, context)
    all.set(name, secret)
    if (row === undefined || row.broken) continue
    if (places.length === 0) homeless.push(row)
    if (kept === undefined && row.given.from !== undefined) refuseFrom(row, complaints)
    refuseIssuer(row, context, complaints)
    refuseImpossible(secret, row, complaints)
  }
  refuseHomeless(homeless, sources, complaints)
  for (const secret of all.values()) refuseDerived(secret, sources, complaints)
  const find = (name: SecretName) => all.get(name) ?? findUnnamed(name, sources, context)
  return { all, find }
}

/** What the longest prefix, else the one store of everything, makes of a name that no entry has. */
function takenBy(name: SecretName, sources: SecretSources): readonly SecretPlace[] {
  const prefix = coveringPrefix(name, sources.prefixes)
  if (prefix !== undefined) {
    // the adapter's own rules for a path hold when it is used
    const path = `${prefix.under}${name.slice(prefix.name.length)}` as StorePath
    return [{ store: prefix.store, path, fields: null, format: prefix.format }]
  }
  const store = [...sources.stores.values()].find(section => section.takesAny)
  // such a store keeps a secret under its name
  return store === undefined ? [] : [{ store: store.name, path: name as string as StorePath, fields: null, format: 'stored' }]
}

// from the longest to the shortest: a name has at most sixteen segments, however many prefixes there are
function coveringPrefix(name: SecretName, prefixes: ReadonlyMap<string, PrefixEntry>): PrefixEntry | undefined {
  for (let end = name.lastIndexOf('/'); end >= 0; end = name.lastIndexOf('/', end - 1)) {
    const prefix = prefixes.get(name.slice(0, end + 1))
    if (prefix !== undefined) return prefix
    if (end === 0) break
  }
  return prefixes.get('')
}

function findUnnamed(name: SecretName, sources: SecretSources, context: SecretContext): SecretConfig | undefined {
  const places = takenBy(name, sources)
  const store = sources.stores.get(places[0]?.store ?? '')
  return store === undefined ? undefined : resolveSecret(name, undefined, places, store.at, context)
}

function orderPlaces(kept: Kept, row: Row | undefined, complaints: Complaints): readonly SecretPlace[] {
  const from = row?.given.from
  if (from === undefined) {
    const second = kept.places[1]
    const first = kept.places[0]
    if (second !== undefined && first !== undefined && row?.broken !== true) {
      const where = `${first.at.file}:${first.at.line}:${first.at.column}`
      const message = `the stores ${first.store} and ${second.store} both keep ${kept.shown}; first at ${where}`
      const stores = kept.places.map(place => place.store).join(', ')
      complaints.error(second.at, second.where, message, `write from: [${stores}] in its row of secrets, or another name: here`)
    }
    return kept.places
  }
  const at = row === undefined ? undefined : placeOf(row.tree, ['from'])
  const path = renderPath(['secrets', kept.name, 'from'])
  const ordered = from.flatMap(store => kept.places.find(place => place.store === store) ?? [])
  const without = from.filter(store => !kept.places.some(place => place.store === store))
  const unnamed = kept.places.filter(place => !from.includes(place.store))
  if (at !== undefined && without.length > 0) {
    complaints.error(
      at,
      path,
      `no entry of ${without.join(', ')} has this name`,
      'add an entry with this name there, or remove the store from the list',
    )
  }
  if (at !== undefined && new Set(from).size < from.length) complaints.error(at, path, 'a store stands twice', 'name each store once')
  for (const place of unnamed) {
    complaints.error(place.at, place.where, `${kept.shown} is kept here too, but its row does not say so`, `add ${place.store} to from:`)
  }
  if (at !== undefined) refuseUnlike(ordered, kept.shown, (message, remedy) => complaints.error(at, path, message, remedy))
  return ordered
}

/** Stores of one name hold the same value, so it must have one form in all of them. */
function refuseUnlike(places: Kept['places'], shown: string, tell: (message: string, remedy: string) => void): void {
  const [first, ...others] = places
  if (first === undefined) return
  for (const other of others) {
    const [form, otherForm] = [formOf(first), formOf(other)]
    if (form !== null && otherForm !== null && form !== otherForm) {
      const message = `${shown} is ${form} in ${first.store} and ${otherForm} in ${other.store}, so readers would get one or the other`
      tell(message, 'write format: json at the entry of the text, or keep it in stores of one form')
    } else if (JSON.stringify([...(first.fields ?? [])].sort()) !== JSON.stringify([...(other.fields ?? [])].sort())) {
      const message = `${shown} is ${fieldsOf(first)} in ${first.store} and ${fieldsOf(other)} in ${other.store}`
      tell(message, 'write the same key: at the entries of all stores')
    }
  }
}

const formOf = ({ format }: SecretPlace) => (format === 'stored' ? null : format === 'text' ? 'a text' : 'named fields')

const fieldsOf = ({ fields }: SecretPlace) => (fields === null ? 'every field' : `the fields ${fields.join(', ')}`)

function refuseFrom(row: Row, complaints: Complaints): void {
  const at = placeOf(row.tree, ['from'])
  complaints.error(
    at,
    renderPath(['secrets', row.name, 'from']),
    'no entry of a store has this name',
    'add - path: ... with name: to each of the stores',
  )
}

// comparing every name with every other takes long where all of them are wrong, and helps nobody then
const suggestionsMax = 20

function refuseHomeless(rows: readonly Row[], sources: SecretSources, complaints: Complaints): void {
  if (sources.incomplete) return
  const kept = [...sources.kept.values()].map(each => each.shown)
  for (const [index, { name, at, given }] of rows.entries()) {
    if (given.derive !== undefined || given.managed !== undefined || given.from !== undefined) continue
    const near = index < suggestionsMax ? nearest(name, kept) : undefined
    const remedy = near === undefined ? 'add an entry with this name to a store, or a section database' : `did you mean ${near}?`
    complaints.error(at, renderPath(['secrets', name]), 'no store takes this name', remedy)
  }
}

function refuseIssuer(row: Row, context: SecretContext, complaints: Complaints): void {
  const { issuer } = row.given
  const node = nodeAt(row.tree, ['issuer'])
  if (issuer === undefined || node === undefined || context.issuers.has(issuer)) return
  const near = nearest(issuer, [...context.issuers.keys()])
  const remedy = near === undefined ? 'add it to issuers:' : `did you mean ${near}?`
  complaints.error(node.node.at, renderPath(['secrets', row.name, 'issuer']), 'no issuer has this name', remedy)
}

function refuseDerived(secret: SecretConfig, sources: SecretSources, complaints: Complaints): void {
  const row = sources.rows.get(secret.name)
  if (secret.derive === null || row === undefined || row.broken) return
  const { template, of } = secret.derive
  const tell = (key: string, message: string, remedy: string) =>
    complaints.error(placeOf(row.tree, [key]), renderPath(['secrets', secret.name, key]), message, remedy)
  const source = sources.rows.get(of)
  const places = sources.kept.get(of)?.places ?? takenBy(of, sources)
  if (source?.given.derive !== undefined || of === secret.name) {
    tell('of', 'a derived secret is made of one that is stored', 'name the secret that has the fields')
  } else if (places.length === 0 && !sources.incomplete) {
    tell('of', 'no secret has this name', 'name a secret that a store keeps')
  }
  const used = [...template.matchAll(/\{([^{}]*)\}/g)].map(match => match[1] ?? '')
  if (used.length === 0 || used.includes('') || /[{}]/.test(template.replace(/\{[^{}]*\}/g, ''))) {
    tell('derive', 'not a template', 'write the fields in braces, such as "postgres://{username}:{password}@db/app"')
    return
  }
  const fields = places[0]?.fields
  const unknown = fields === undefined || fields === null ? [] : used.filter(field => !fields.includes(field))
  if (unknown.length > 0) tell('derive', `no field ${unknown.join(', ')} in the secret it is made of`, `use ${fields?.join(', ')}`)
}
