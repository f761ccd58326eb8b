import { BrokerError, type SecretName, secretName } from '@keyturn/core'
import type { Position } from '@keyturn/policy'
import type { Complaints } from './complaint.ts'

/** A name that was checked; undefined after a complaint. The complaint shows the rule that is broken, never the name. */
export function checkedName(
  text: string,
  node: { readonly at: Position } | undefined,
  path: string,
  complaints: Complaints,
): SecretName | undefined {
  try {
    return secretName(text)
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error
    complaints.error(node?.at ?? { file: '', line: 1, column: 1 }, path, error.message, error.hint ?? 'choose another name')
    return undefined
  }
}
