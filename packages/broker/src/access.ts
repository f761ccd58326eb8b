import { BrokerError, type SecretName } from '@keyturn/core'
import type { SecretRow } from '@keyturn/ledger'
import type { Action, Principal, Target } from '@keyturn/policy'
import type { Broker } from './broker.ts'
import type { Entry } from './catalog.ts'

/** What a secret without a row of its own is. */
export const genericType = 'generic'

/** A secret that the caller may do this to: it has a store; whether the store holds it is not yet known. */
export interface Granted {
  readonly entry: Entry
  readonly type: string
  readonly labels: Readonly<Record<string, string>>
  readonly row: SecretRow | null
}

/**
 * Whether the principal may, and then where the secret is. Without the right it is `permission_denied` in the same words whether or not the
 * name exists; with it, a name that no store takes is `not_found`.
 */
export async function grant(broker: Broker, principal: Principal, action: Action, name: SecretName): Promise<Granted> {
  const entry = broker.catalog.find(name)
  const row = await broker.ledger.secrets.byName(name)
  const { type, labels } = factsOf(entry, row)
  const target = { name, labels, ...(type === undefined ? {} : { type }) }
  if (!(await allowed(broker, principal, action, target, entry))) throw denied(action)
  if (entry === null) throw broker.catalog.absence(name)
  return { entry, type: type ?? genericType, labels, row }
}

/** What the policy judges a secret by: the config's row wins over what a PUT said. The type is undefined while nobody said one. */
export function factsOf(
  entry: Entry | null,
  row: SecretRow | null,
): { readonly type: string | undefined; readonly labels: Readonly<Record<string, string>> } {
  const type = entry?.config.row === true ? entry.config.type : (row?.type ?? undefined)
  return { type, labels: { ...row?.labels, ...entry?.config.labels } }
}

/** The decision about a secret that is known to exist, or to have existed. */
export function mayOn(broker: Broker, principal: Principal, action: Action, name: SecretName, facts: ReturnType<typeof factsOf>): boolean {
  return broker.policy.decide(principal, action, { name, type: facts.type ?? genericType, labels: facts.labels }).allowed
}

/** Asks the policy about a name. What has no type yet is asked about as what it would be if it exists and if it does not; only where the answers differ does its store decide. */
async function allowed(broker: Broker, principal: Principal, action: Action, target: Target, entry: Entry | null): Promise<boolean> {
  const decide = (asked: Target) => broker.policy.decide(principal, action, asked).allowed
  if (target.type !== undefined) return decide(target)
  const present = { ...target, type: genericType }
  if (entry?.named === true) return decide(present)
  const ifAbsent = decide(target)
  if (entry === null || decide(present) === ifAbsent) return ifAbsent
  return (await exists(entry)) ? !ifAbsent : ifAbsent
}

/** `not_found` for a name that only a store of everything takes, and that neither the ledger nor that store knows. */
export async function mustExist({ entry, row }: Granted): Promise<void> {
  if (entry.named || row !== null || (await exists(entry))) return
  throw absent('there is no such secret')
}

async function exists(entry: Entry): Promise<boolean> {
  try {
    await entry.section.ask(store => store.read(entry.path))
    return true
  } catch (error) {
    if (error instanceof BrokerError && error.code === 'not_found') return false
    throw error
  }
}

/** Whether the principal may do this to the broker itself. */
export function grantBroker(broker: Broker, principal: Principal, action: Action): void {
  if (!broker.policy.decide(principal, action, { name: null }).allowed) throw denied(action)
}

/** The refusal of the policy, in the same words for every name. */
export function denied(action: Action): BrokerError {
  return new BrokerError('permission_denied', `not allowed: no rule gives ${action} here`, {
    hint: 'ask who keeps the roles of this broker; keyturn doctor NAME tells operators more',
  })
}

/** What somebody who has the right is told of what is not there. */
export function absent(why: string): BrokerError {
  return new BrokerError('not_found', why, { hint: 'look at the name again: keyturn list shows those that you may see' })
}
