import { z } from 'zod'
import type { Complaints } from './complaint.ts'
import type { StoreSection } from './config.ts'
import { judge } from './judge.ts'
import { type Kind, type Kinds, ownSections, routeNames, storeKinds } from './kind.ts'
import { refuseLiteralSecrets } from './literal-secret.ts'
import { asMapping, judgeEach } from './part.ts'
import { absolutePaths } from './paths.ts'
import { storeCommon } from './schema/store-section.ts'
import { instead, nearest } from './suggestion.ts'
import { type Entry, type Mapping, renderPath, type Tree } from './tree.ts'
import { unprinted } from './unprinted.ts'

/** A section that is a store, its entries not yet read. */
export interface OpenSection {
  readonly section: StoreSection
  readonly kind: Kind
  /** The node of `secrets:`; undefined where there is none. */
  readonly list: Tree | undefined
}

export interface OpenSections {
  readonly open: readonly OpenSection[]
  /** Some section could not be read, so that names may be missing that are not wrong. */
  readonly incomplete: boolean
}

const commonSchema = z.strictObject(storeCommon)
const commonKeys = Object.keys(storeCommon)
const timeoutMs = 30_000
const maxInFlight = 32

/** Reads every section that is not one of Keyturn's own: a store of the kind it is named for, or that `kind` says. */
export function readStoreSections(root: Mapping, kinds: Kinds, cwd: string, complaints: Complaints): OpenSections {
  const open: OpenSection[] = []
  let incomplete = false
  for (const [name, entry] of root.entries) {
    if (ownSections.some(own => own === name)) continue
    const section = readSection(name, entry, kinds, cwd, complaints)
    if (section === undefined) incomplete = true
    else open.push(section)
  }
  return { open, incomplete }
}

function readSection(name: string, entry: Entry, kinds: Kinds, cwd: string, complaints: Complaints): OpenSection | undefined {
  const kindNode = entry.value.kind === 'mapping' ? entry.value.entries.get('kind') : undefined
  if (kindNode === undefined && !Object.hasOwn(kinds, name) && !storeKinds.some(kind => kind === name)) {
    const known = [...ownSections, ...storeKinds]
    const near = nearest(name, known)
    const remedy = near === undefined ? 'write kind: in it if it is a store, or remove it' : instead(name, known)
    complaints.error(entry.at, renderPath([name]), 'unknown section', remedy)
    return undefined
  }
  const tree = asMapping(entry.value, [name], complaints)
  if (tree === undefined || !isFreeName(name, entry, complaints)) return undefined
  const kindName = kindNode === undefined ? name : judge(kindNode.value, storeCommon.kind.unwrap(), [name, 'kind'], complaints)
  if (kindName === undefined) return undefined
  const kind = Object.hasOwn(kinds, kindName) ? kinds[kindName] : undefined
  if (kind === undefined) {
    refuseKind(name, kindNode?.value, entry, kinds, complaints)
    return undefined
  }
  return readKnown(name, kindName, kind, tree, entry, cwd, complaints)
}

function readKnown(
  name: string,
  kindName: string,
  kind: Kind,
  tree: Mapping,
  entry: Entry,
  cwd: string,
  complaints: Complaints,
): OpenSection | undefined {
  const { options, common } = splitSection(absolutePaths(tree, cwd), kind)
  refuseLiteralSecrets(withoutList(tree), [name], complaints)
  const own = judge(options, kind.options.strict(), [name], complaints, commonKeys)
  const shared = judgeEach(withoutList(common), commonSchema, [name], complaints)
  if (own === undefined) return undefined
  const section: StoreSection = {
    name,
    kind: kindName,
    options: own,
    timeoutMs: shared.timeout ?? timeoutMs,
    ca: shared.ca ?? null,
    proxy: shared.proxy ?? null,
    maxInFlight: shared.maxInFlight ?? maxInFlight,
    at: entry.at,
    takesAny: kind.unlisted === 'any' && !tree.entries.has('secrets'),
  }
  return { section: unprinted(section, { name, kind: kindName }), kind, list: tree.entries.get('secrets')?.value }
}

function isFreeName(name: string, entry: Entry, complaints: Complaints): boolean {
  if (routeNames.some(route => route === name)) {
    complaints.error(entry.at, renderPath([name]), 'a store of this name would hide a route of the broker', 'give the section another name')
    return false
  }
  if (/^[A-Za-z][A-Za-z0-9_-]{0,62}$/.test(name)) return true
  complaints.error(entry.at, renderPath([name]), 'not the name of a store', 'write letters, digits, - and _, starting with a letter')
  return false
}

function refuseKind(name: string, node: Tree | undefined, entry: Entry, kinds: Kinds, complaints: Complaints): void {
  const kindName = node?.kind === 'scalar' ? node.source : name
  const at = node?.at ?? entry.at
  const path = renderPath(node === undefined ? [name] : [name, 'kind'])
  if (storeKinds.some(kind => kind === kindName)) {
    complaints.error(
      at,
      path,
      `no adapter for kind ${kindName} in this build`,
      `remove the section, or use ${Object.keys(kinds).sort().join(', ') || 'another build'}`,
    )
  } else {
    complaints.error(
      at,
      path,
      `no kind of store is called ${JSON.stringify(kindName.slice(0, 60))}`,
      instead(kindName, [...new Set([...Object.keys(kinds), ...storeKinds])]),
    )
  }
}

// a key that a kind has itself, such as vault's own `ca`, goes to both
function splitSection(tree: Mapping, kind: Kind): { readonly options: Mapping; readonly common: Mapping } {
  const entries = [...tree.entries]
  const isOwn = (key: string) => Object.hasOwn(kind.options.shape, key) || !commonKeys.includes(key)
  return {
    options: { ...tree, entries: new Map(entries.filter(([key]) => isOwn(key) && key !== 'kind')) },
    common: { ...tree, entries: new Map(entries.filter(([key]) => commonKeys.includes(key))) },
  }
}

function withoutList(tree: Mapping): Mapping {
  return { ...tree, entries: new Map([...tree.entries].filter(([key]) => key !== 'secrets')) }
}
