import type { Strategy } from '@keyturn/core'
import { aws } from './aws.ts'
import { azure } from './azure.ts'
import type { Backend } from './backend.ts'
import { database } from './database.ts'
import { dotenv } from './dotenv.ts'
import { gcp } from './gcp.ts'
import { kubernetes } from './kubernetes.ts'
import { vaultKv1, vaultKv2 } from './vault.ts'

/**
 * Every store that rotations are crashed on. `generated` makes every call that a rotation can make, and is crashed at each; the other strategy has a
 * target, and is crashed where something changes.
 */
export const backends: readonly { readonly backend: Backend; readonly withTarget: Strategy }[] = [
  // a variable is one text, so its target is one of texts
  { backend: dotenv, withTarget: 'key-set' },
  { backend: database, withTarget: 'api-key-pair' },
  { backend: vaultKv2(), withTarget: 'api-key-pair' },
  { backend: vaultKv2({ cas: true }), withTarget: 'api-key-pair' },
  { backend: vaultKv1, withTarget: 'api-key-pair' },
  { backend: aws, withTarget: 'key-set' },
  { backend: azure, withTarget: 'key-set' },
  { backend: kubernetes, withTarget: 'api-key-pair' },
  { backend: gcp, withTarget: 'key-set' },
]

export const cells = backends.flatMap(({ backend, withTarget }) => [
  { name: backend.name, backend, strategy: 'generated' as const, where: 'everywhere' as const },
  { name: backend.name, backend, strategy: withTarget, where: 'changes' as const },
])
