import type { RotateMany } from '@keyturn/api'
import { BrokerError, isOver, isPromoted, type SecretName, secretName } from '@keyturn/core'
import type { SecretRow } from '@keyturn/ledger'
import type { Action, Principal } from '@keyturn/policy'
import { absent, denied, factsOf, genericType, grant, mayOn, mustExist } from '../access.ts'
import type { Broker } from '../broker.ts'
import type { Entry } from '../catalog.ts'
import { neverRotated } from './start.ts'

/** A secret that a selector names and that the caller may rotate. */
export interface Selected {
  readonly entry: Entry
  readonly row: SecretRow | null
  readonly type: string
  readonly labels: Readonly<Record<string, string>>
}

interface Selector {
  readonly names?: readonly string[] | undefined
  readonly types?: readonly string[] | undefined
  readonly labels?: Readonly<Record<string, string>> | undefined
}

/**
 * The secrets of a selector that the caller may rotate, sorted; the rest is skipped. `permission_denied` when the caller may rotate none
 * anywhere; a name that is asked for and absent is `not_found`.
 */
export async function select(broker: Broker, principal: Principal, action: Action, body: RotateMany): Promise<readonly Selected[]> {
  if (body.read_by !== undefined) {
    throw new BrokerError('unsupported', 'selecting by reader is not built', { hint: 'select by names, types, labels or group' })
  }
  if (!broker.policy.mayAny(principal, action)) throw denied(action)
  if (body.names !== undefined) return named(broker, principal, action, body.names.map(secretName))
  const wanted: Selector | 'all' = body.all === true ? 'all' : body.group === undefined ? body : groupOf(broker, body.group)
  const all = await everything(broker)
  return all.filter(
    selected =>
      (wanted === 'all' ? neverRotated(selected.entry) === undefined : fits(wanted, selected)) &&
      mayOn(broker, principal, action, selected.entry.name, selected),
  )
}

async function named(broker: Broker, principal: Principal, action: Action, names: readonly SecretName[]): Promise<readonly Selected[]> {
  const found: Selected[] = []
  for (const name of new Set(names)) {
    const granted = await grant(broker, principal, action, name)
    await mustExist(granted)
    found.push(granted)
  }
  return found
}

function groupOf(broker: Broker, group: string): Selector {
  const found = broker.config.rotation.groups.get(group)
  if (found === undefined) throw absent('there is no such group')
  return found
}

function fits({ names, types, labels }: Selector, { entry, type, labels: given }: Selected): boolean {
  if (names?.includes(entry.name) === true || types?.includes(type) === true) return true
  return labels !== undefined && Object.entries(labels).every(([key, value]) => given[key] === value)
}

/** Every secret that the config names or the ledger has met, sorted by name. */
async function everything(broker: Broker): Promise<readonly Selected[]> {
  const rows = new Map((await allRows(broker)).map(row => [row.name, row]))
  const names = new Set([...broker.catalog.named(), ...rows.keys()])
  return [...names].sort().flatMap(name => {
    const entry = broker.catalog.find(name)
    const row = rows.get(name) ?? null
    if (entry === null) return []
    const { type = genericType, labels } = factsOf(entry, row)
    return [{ entry, row, type, labels }]
  })
}

const pageRows = 500

/** All rows of the ledger, by name. */
export async function allRows(broker: Broker): Promise<readonly SecretRow[]> {
  const rows: SecretRow[] = []
  for (let after: SecretName | null = null; ; ) {
    const page = await broker.ledger.secrets.page({ after, limit: pageRows })
    rows.push(...page)
    after = page.at(-1)?.name ?? null
    if (page.length < pageRows) return rows
  }
}

/** What rotating one secret now would do; nothing is changed, and no store is asked. */
export async function planOf(broker: Broker, selected: Selected, graceOverrideMs: number | null, compromise: boolean): Promise<object> {
  const { entry, type } = selected
  const { id, rotation } = selected.row ?? (await broker.ledger.secrets.ensure(entry.name))
  const { strategy, grace, rules } = entry.config
  const base = { secret_id: id, name: entry.name, type, strategy, grace: Math.round((graceOverrideMs ?? grace.ms) / 1000) }
  const refuse = (why: string, notBefore: Date | null = null) => ({ ...base, verdict: 'refuse', why, not_before: notBefore })
  const never = neverRotated(entry)
  if (never !== undefined) return refuse(never.message)
  if (rotation !== null && !isOver(rotation.state) && !compromise) {
    if (!isPromoted(rotation.state)) return refuse(`a rotation is open (${rotation.state})`)
    return refuse('readers were promised the previous version', rotation.graceUntil)
  }
  if (entry.config.approval) return { ...base, verdict: 'wait', why: 'a person must approve it', not_before: null }
  const { open, next } = broker.calendar.allows(await broker.ledger.now(), rules)
  return open || compromise
    ? { ...base, verdict: 'rotate', why: null, not_before: null }
    : { ...base, verdict: 'wait', why: 'outside its windows', not_before: next }
}
