import { BrokerError, type Finding, type StorePath } from '@keyturn/core'
import { examineModes } from './file.ts'
import { examineKeks } from './keks.ts'
import { pragma } from './migrations.ts'
import type { Parts } from './store.ts'
import { gone, unsealed } from './versions.ts'

const synchronousFull = 2

/** The file, its safety on disk, and the KEKs that it needs. */
export function examineStore({ client, rows, keyring }: Parts): readonly Finding[] {
  const version = pragma(client.database, 'user_version')
  return [
    { ok: true, what: `file ${client.file}`, detail: `schema ${version}` },
    examineModes(client.file),
    examineDurability(pragma(client.database, 'synchronous')),
    ...examineKeks(rows, keyring),
  ]
}

function examineDurability(synchronous: number): Finding {
  const what = 'commits reach the disk'
  if (synchronous >= synchronousFull) return { ok: true, what }
  return { ok: false, what, detail: `synchronous is ${synchronous}`, hint: 'restart the broker: it opens the file with synchronous=FULL' }
}

/** Whether the secret is there and its current value opens. An envelope cannot be judged without opening it; the value goes no further. */
export function examinePath({ rows, sealer }: Parts, path: StorePath): readonly Finding[] {
  const what = `path ${path}`
  const current = rows.current(path)
  try {
    if (current === undefined) throw gone(rows, path)
    const { fieldNames } = unsealed(sealer, { path, id: current.id, revision: current.revision }, current).value
    return [{ ok: true, what, ...(fieldNames === undefined ? {} : { fields: fieldNames }) }]
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error
    return [{ ok: false, what, detail: error.message, hint: error.hint ?? 'write the secret, or correct the path', code: error.code }]
  }
}
