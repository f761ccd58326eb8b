import { BrokerError, type SecretVersion, type Store } from '@keyturn/core'
import { lists } from '../reads/answer.ts'
import { etagOf } from '../reads/material.ts'

/** What a request demands of the state before it (RFC 9110, 13.1). */
export interface Condition {
  readonly ifMatch: string | undefined
  readonly ifNoneMatch: string | undefined
}

/** The preconditions of a request. `If-None-Match` is understood as `*` only. */
export function conditionOf(headers: {
  readonly 'if-match'?: string | undefined
  readonly 'if-none-match'?: string | undefined
}): Condition {
  const { 'if-match': ifMatch, 'if-none-match': ifNoneMatch } = headers
  if (ifNoneMatch !== undefined && ifNoneMatch.trim() !== '*') {
    throw new BrokerError('invalid_argument', 'a write understands If-None-Match: * only', {
      hint: 'to replace a version that you saw, send its ETag as If-Match',
    })
  }
  if (ifMatch !== undefined && ifNoneMatch !== undefined) {
    throw new BrokerError('invalid_argument', 'If-Match and If-None-Match exclude one another', { hint: 'send one of the two' })
  }
  return { ifMatch, ifNoneMatch }
}

/** Whether anything is demanded at all. */
export const isConditional = ({ ifMatch, ifNoneMatch }: Condition): boolean => ifMatch !== undefined || ifNoneMatch !== undefined

/** `unsupported` where a store could not keep a condition between our look and our write. */
export function mustBeAble(store: Store, condition: Condition): void {
  if (!isConditional(condition) || store.guarantees.cas) return
  throw new BrokerError('unsupported', `store ${store.name} has no compare-and-set, so a write cannot be conditional`, {
    hint: 'leave If-Match and If-None-Match out, or keep this secret in a store with compare-and-set',
  })
}

/** `conflict`, with the current version, when the state is not what the caller demands. */
export function mustHold(condition: Condition, before: Pick<SecretVersion, 'version'> | null): void {
  const { ifMatch, ifNoneMatch } = condition
  if (ifNoneMatch !== undefined && before !== null) throw changed('the secret exists', before)
  if (ifMatch !== undefined && (before === null || !lists(ifMatch, etagOf(before.version)))) {
    throw changed(before === null ? 'the secret does not exist' : 'the version has changed', before)
  }
}

/** A refusal that names what is current now. */
export function changed(why: string, before: Pick<SecretVersion, 'version'> | null): BrokerError {
  return new BrokerError('conflict', `the precondition failed: ${why}`, {
    hint: 'read the secret again and decide anew',
    detail: { current: before?.version ?? null },
  })
}
