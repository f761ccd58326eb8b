import type { Strategy } from '@keyturn/core'
import type { Backend } from './backend.ts'
import { database } from './database.ts'
import { dotenv } from './dotenv.ts'
import { vaultKv1, vaultKv2 } from './vault.ts'

/** Every store that rotations are crashed on, with a rotation that has no target and one that has: between them they make every call that a rotation can. */
export const backends: readonly { readonly backend: Backend; readonly strategies: readonly Strategy[] }[] = [
  // a variable is one text, so its target is one of texts
  { backend: dotenv, strategies: ['generated', 'key-set'] },
  { backend: database, strategies: ['generated', 'api-key-pair'] },
  { backend: vaultKv2(), strategies: ['generated', 'api-key-pair'] },
  { backend: vaultKv2({ cas: true }), strategies: ['generated'] },
  { backend: vaultKv1, strategies: ['generated', 'api-key-pair'] },
]

export const cells = backends.flatMap(({ backend, strategies }) => strategies.map(strategy => ({ name: backend.name, backend, strategy })))
