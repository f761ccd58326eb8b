import { BrokerError, type Finding, type StorePath } from '@keyturn/core'
import type { Parts } from './store.ts'
import { gone, unsealed } from './versions.ts'

/** Whether the secret is there and its current value opens. An envelope cannot be judged without opening it; the value goes no further. */
export async function examinePath({ sql, rows, sealer }: Parts, path: StorePath): Promise<readonly Finding[]> {
  const what = `path ${path}`
  try {
    const current = await rows.current(sql, path)
    if (current === undefined) throw gone(await rows.secret(sql, path), path)
    const { fieldNames } = unsealed(sealer, current.secret, current.version).value
    return [{ ok: true, what, ...(fieldNames === undefined ? {} : { fields: fieldNames }) }]
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error
    return [{ ok: false, what, detail: error.message, hint: error.hint ?? 'write the secret, or correct the path', code: error.code }]
  }
}
