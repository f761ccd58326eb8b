import { dirname, join, resolve } from 'node:path'
import { secretTypes } from '@keyturn/core'
import { compile, type FactsOf, failedTests, type PolicySource } from '@keyturn/policy'
import { z } from 'zod'
import type { Complaints } from './complaint.ts'
import type { AccessConfig, BrokerSettings, Config, IssuerSection } from './config.ts'
import { isEnvironment, type Settings } from './environment.ts'
import { judge } from './judge.ts'
import type { IssuerKind } from './kind.ts'
import { refuseLiteralSecrets } from './literal-secret.ts'
import { asMapping, judgeEach, mappingAt } from './part.ts'
import { absolutePaths } from './paths.ts'
import { accessSchema, policyKeys } from './schema/access.ts'
import { backedUpActs, brokerSchema } from './schema/broker.ts'
import { publishSchema } from './schema/publish.ts'
import { issuerCommon } from './schema/store-section.ts'
import { alertsSchema, auditSchema, metricsSchema } from './schema/watching.ts'
import { isNothing, type Mapping, nodeAt, type Path, placeOf, renderPath, type Tree } from './tree.ts'
import { unprinted } from './unprinted.ts'

/** 30 days. */
const backupsKeptMs = 30 * 24 * 3_600_000
const issuerSchema = z.strictObject(issuerCommon)

/** What reading a section needs besides the section. */
export interface SectionContext {
  readonly root: Mapping
  readonly file: string
  readonly cwd: string
  readonly settings: Settings
  readonly complaints: Complaints
}

/** A section with absolute paths and no literal secret in it; empty where there is none. */
function sectionOf(context: SectionContext, name: string): Mapping {
  const section = mappingAt(context.root, name, context.complaints)
  if (section === undefined) return { kind: 'mapping', at: context.root.at, entries: new Map() }
  // what the policy calls a secret is the name of one
  const isPolicy = name === 'access'
  for (const [key, entry] of section.entries) {
    if (!isPolicy || key === 'authentication') refuseLiteralSecrets(entry.value, [name, key], context.complaints)
  }
  return absolutePaths(section, context.cwd)
}

/** `environment`, which `KEYTURN_ENV` must agree with. */
export function readEnvironment(context: SectionContext): string | null {
  const { root, settings, complaints } = context
  const entry = root.entries.get('environment')
  if (entry === undefined) return settings.environment
  const node = entry.value
  if (node.kind === 'scalar' && node.broken) return settings.environment
  if (node.kind !== 'scalar' || !isEnvironment(node.text)) {
    complaints.error(node.at, 'environment', 'not the name of an environment', 'write a word such as production or development')
    return settings.environment
  }
  if (settings.environment !== null && settings.environment !== node.text) {
    complaints.error(node.at, 'environment', 'KEYTURN_ENV says another environment', 'make the two agree, or unset KEYTURN_ENV')
  }
  return node.text
}

/** `broker`; `KEYTURN_LISTEN` and `KEYTURN_DATA` stand above it. */
export function readBroker(context: SectionContext): BrokerSettings {
  const { settings, cwd, file, complaints } = context
  const section = sectionOf(context, 'broker')
  const broker = judgeEach(section, brokerSchema, ['broker'], complaints)
  const data = settings.data === null ? (broker.data ?? resolve(cwd, dirname(file), '.keyturn')) : resolve(cwd, settings.data)
  const listen = settings.listen ?? broker.listen ?? { host: '127.0.0.1', port: 8320 }
  const read: BrokerSettings = {
    listen,
    data,
    ledger: broker.ledger === undefined || broker.ledger === '' ? null : broker.ledger,
    keys: broker.keys ?? { provider: 'file' },
    backups: {
      folder: broker.backups?.folder ?? join(data, 'backups'),
      keepMs: broker.backups?.keep ?? backupsKeptMs,
      before: broker.backups?.before ?? backedUpActs,
    },
    limits: { valueBytes: broker.limits?.value ?? 64 * 1024, bodyBytes: broker.limits?.body ?? 1024 * 1024 },
    allow: broker.allow ?? [],
  }
  return unprinted(read, { listen, data })
}

/** `issuers`; a kind that this build lacks is kept without its options. */
export function readIssuers(context: SectionContext, kinds: Readonly<Record<string, IssuerKind>>): ReadonlyMap<string, IssuerSection> {
  const { complaints } = context
  const issuers = new Map<string, IssuerSection>()
  for (const [name, entry] of sectionOf(context, 'issuers').entries) {
    const path = ['issuers', name]
    const tree = asMapping(entry.value, path, complaints)
    if (tree === undefined) continue
    const kindNode = tree.entries.get('kind')
    if (kindNode === undefined) {
      complaints.error(entry.at, renderPath(path), 'kind is missing', 'write kind: with the sort of target, such as postgres')
      continue
    }
    const kindName = judge(kindNode.value, issuerCommon.kind, [...path, 'kind'], complaints)
    if (kindName === undefined) continue
    const kind = Object.hasOwn(kinds, kindName) ? kinds[kindName] : undefined
    const { own, common } = splitIssuer(tree, kind)
    const shared = judgeEach(common, issuerSchema, path, complaints)
    const options = kind === undefined ? null : judge(own, kind.options.strict(), path, complaints, Object.keys(issuerCommon))
    if (options === undefined) continue
    const issuer: IssuerSection = {
      name,
      kind: kindName,
      options,
      timeoutMs: shared.timeout ?? 30_000,
      ca: shared.ca ?? null,
      proxy: shared.proxy ?? null,
      maxInFlight: shared.maxInFlight ?? 4,
      at: entry.at,
    }
    issuers.set(name, unprinted(issuer, { name, kind: kindName }))
  }
  return issuers
}

function splitIssuer(tree: Mapping, kind: IssuerKind | undefined): { readonly own: Mapping; readonly common: Mapping } {
  const isCommon = (key: string) => Object.hasOwn(issuerCommon, key)
  const isOwn = (key: string) => !isCommon(key) || (kind !== undefined && Object.hasOwn(kind.options.shape, key))
  return {
    own: { ...tree, entries: new Map([...tree.entries].filter(([key]) => isOwn(key) && key !== 'kind')) },
    common: { ...tree, entries: new Map([...tree.entries].filter(([key]) => isCommon(key))) },
  }
}

/** One copy of `publish`, with its place in the list. */
export interface ReadCopy {
  readonly index: number
  readonly copy: Config['publish'][number]
}

/** `publish`: the copies that are right in themselves. */
export function readPublish(context: SectionContext): readonly ReadCopy[] {
  const { root, complaints } = context
  const tree = root.entries.get('publish')?.value
  if (tree === undefined || (tree.kind === 'scalar' && tree.broken)) return []
  if (tree.kind !== 'sequence') {
    complaints.error(tree.at, 'publish', 'no list', 'write - with keys below it for each copy')
    return []
  }
  refuseLiteralSecrets(tree, ['publish'], complaints, ['secret'])
  return tree.items.flatMap((item, index) => {
    const copy = judge(item, publishSchema, ['publish', index], complaints)
    return copy === undefined ? [] : [{ index, copy }]
  })
}

/** `access`: who may come in by what door, and the policy; undefined after complaints about the policy. */
export function readAccess(context: SectionContext): AccessConfig | undefined {
  const { complaints } = context
  const section = sectionOf(context, 'access')
  const isPolicy = (key: string) => policyKeys.some(each => each === key)
  const others: Mapping = { ...section, entries: new Map([...section.entries].filter(([key]) => !isPolicy(key))) }
  const given = judgeEach(others, accessSchema, ['access'], complaints, policyKeys)
  const source = policySource({ ...section, entries: new Map([...section.entries].filter(([key]) => isPolicy(key))) })
  const compiled = compile([source], { types: secretTypes })
  if ('complaints' in compiled) {
    for (const { at, path, message, remedy } of compiled.complaints) complaints.error(at, path, message, remedy)
    return undefined
  }
  return { authentication: given.authentication ?? {}, policies: given.policies ?? [], source, ...compiled }
}

/** Runs the policy's own tests against the secrets of this config. */
export function testPolicy(access: AccessConfig, find: Config['find'], complaints: Complaints): void {
  const factsOf: FactsOf = name => {
    const secret = find(name)
    return secret === undefined ? undefined : { type: secret.type, labels: secret.labels }
  }
  for (const { at, path, message, remedy } of failedTests(access.policy, access.tests, factsOf)) complaints.error(at, path, message, remedy)
}

function policySource(tree: Mapping): PolicySource {
  const locate = (path: Path) => {
    const found = nodeAt(tree, path.slice(1))
    return found === undefined || found.node.kind === 'mapping' ? placeOf(tree, path.slice(1)) : found.node.at
  }
  return { value: plain(tree), base: ['access'], locate }
}

// every text as it was typed: a label of 1.10 is the text 1.10
function plain(tree: Tree): unknown {
  if (tree.kind === 'scalar') return isNothing(tree) ? null : tree.text
  if (tree.kind === 'sequence') return tree.items.map(plain)
  return Object.fromEntries([...tree.entries].map(([key, entry]) => [key, plain(entry.value)]))
}

/** `audit`, `alerts` and `metrics`. */
export function readWatching(context: SectionContext, broker: BrokerSettings): Pick<Config, 'audit' | 'alerts' | 'metrics'> {
  const { complaints } = context
  const audit = judgeEach(sectionOf(context, 'audit'), auditSchema, ['audit'], complaints)
  const section = sectionOf(context, 'alerts')
  const alerts = judgeEach(section, alertsSchema, ['alerts'], complaints)
  const routes = new Set(['owner', ...(alerts.routes ?? []).map(route => route.name)])
  for (const [index, step] of (alerts.escalation ?? []).entries()) {
    for (const [place, to] of step.to.entries()) {
      if (routes.has(to) || alerts.routes === undefined) continue
      const path = ['escalation', index, 'to', place]
      complaints.error(
        placeOf(section, path),
        renderPath(['alerts', ...path]),
        'no route has this name',
        'write owner, or the name of one of routes',
      )
    }
  }
  const file = audit.file ?? join(broker.data, 'audit.jsonl')
  // outside the file by default too: without a head that is kept elsewhere, a chain cut at the end of a batch reads as whole
  const anchor = { file: join(broker.data, 'audit.anchor'), ...audit.anchor }
  return {
    audit: unprinted({ ...audit, file, anchor }, { file }),
    alerts: unprinted(alerts, { routes: alerts.routes?.map(({ name, kind }) => ({ name, kind })) }),
    metrics: judgeEach(sectionOf(context, 'metrics'), metricsSchema, ['metrics'], complaints),
  }
}
