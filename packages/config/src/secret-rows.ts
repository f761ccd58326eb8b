import type { SecretName } from '@keyturn/core'
import type { Position } from '@keyturn/policy'
import type { Complaints } from './complaint.ts'
import { checkedName } from './names.ts'
import { asMapping, judgeEach, mappingAt } from './part.ts'
import { absolutePaths } from './paths.ts'
import { type SecretRow, secretRowSchema } from './schema/secret-row.ts'
import { type Mapping, renderPath } from './tree.ts'

/** One row of `secrets`. */
export interface Row {
  readonly name: SecretName
  readonly given: Partial<SecretRow>
  readonly tree: Mapping
  readonly at: Position
  /** A key of it was refused: what follows from the row is not worth another complaint. */
  readonly broken: boolean
}

/** Reads the section `secrets`. */
export function readRows(root: Mapping, cwd: string, complaints: Complaints): ReadonlyMap<SecretName, Row> {
  const rows = new Map<SecretName, Row>()
  for (const [key, entry] of mappingAt(root, 'secrets', complaints)?.entries ?? []) {
    const name = checkedName(key, entry, renderPath(['secrets', key]), complaints)
    const path = ['secrets', key]
    const written = asMapping(entry.value, path, complaints)
    if (name === undefined || written === undefined) continue
    const tree = withVerifyPaths(written, cwd)
    const given = judgeEach(tree, secretRowSchema, path, complaints)
    const broken = [...tree.entries.keys()].some(each => !Object.hasOwn(given, each))
    rows.set(name, { name, given, tree, at: entry.at, broken })
  }
  return rows
}

function withVerifyPaths(tree: Mapping, cwd: string): Mapping {
  const verify = tree.entries.get('verify')
  if (verify === undefined) return tree
  return { ...tree, entries: new Map(tree.entries).set('verify', { ...verify, value: absolutePaths(verify.value, cwd) }) }
}
