import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import { BrokerError, type Finding, type OpenContext } from '@keyturn/core'
import { holderOf, noteHolder, prepareFile, SqliteDatabase } from '@keyturn/sql/sqlite'
import { classify } from './classify.ts'
import type { Client } from './client.ts'
import { migrateFile, migrations, mustBeOurs } from './migrations.ts'

/** A destroyed payload leaves zeros, not a free page with its bytes; a damaged page is found when it is read. */
const pragmas = 'pragma secure_delete = on; pragma trusted_schema = off; pragma cell_size_check = on; pragma temp_store = memory'

/**
 * Opens a store's file, making it if it is absent. `precondition_failed` within a second, naming file and process, when it is open elsewhere; the lock
 * dies with its process. No other connection can open it, of this process or another, until it is closed.
 */
export async function openFile(file: string, { clock, random }: OpenContext): Promise<Client> {
  try {
    prepareFile(file)
    return await openLocked(file, { clock, random })
  } catch (error) {
    throw refusalOf(file, error)
  }
}

async function openLocked(file: string, { clock, random }: Pick<OpenContext, 'clock' | 'random'>): Promise<Client> {
  let forgetHolder = () => {}
  const closing = () => forgetHolder()
  const sql = new SqliteDatabase({ file, clock, what: file, pragmas, look: ask => mustBeOurs(ask, file), closing })
  try {
    forgetHolder = noteHolder(file)
    const before = await sql.transaction(tx => migrateFile(tx, `db_${Buffer.from(random.bytes(16)).toString('hex')}`))
    return { sql, what: file, schema: { before, now: migrations.length }, examine: async () => examineFile(file, sql) }
  } catch (error) {
    await sql.close()
    throw error
  }
}

function refusalOf(file: string, error: unknown): BrokerError {
  const { code } = classify(error)
  if (code === 'conflict') return inUse(file, error)
  if (error instanceof BrokerError && code === 'precondition_failed') return error
  return new BrokerError(code, `${file} cannot be opened (${code})`, {
    hint: code === 'corrupt' ? 'it is damaged or no database: restore it from a backup' : 'look at the file, its folder and the disk',
    detail: { file },
    cause: error,
  })
}

function inUse(file: string, cause: unknown): BrokerError {
  const pid = holderOf(file)
  const holder = pid === undefined ? 'another process' : pid === process.pid ? 'this process' : `process ${pid}`
  return new BrokerError('precondition_failed', `${file} is in use by ${holder}`, {
    hint: 'stop the other broker, or give this one a data folder of its own; several brokers share a store in PostgreSQL',
    detail: { file, ...(pid === undefined ? {} : { pid }) },
    cause,
  })
}

const synchronousFull = 2

async function examineFile(file: string, sql: SqliteDatabase): Promise<readonly Finding[]> {
  const [head] = await sql.rows('pragma user_version')
  return [
    { ok: true, what: `file ${file}`, detail: `schema ${head?.user_version}` },
    examineModes(file),
    examineDurability(sql.setting('synchronous')),
  ]
}

function examineModes(file: string): Finding {
  const what = `modes of ${file}`
  const open = [file, dirname(file)].filter(path => (statSync(path).mode & 0o077) !== 0)
  if (open.length === 0) return { ok: true, what }
  return { ok: false, what, detail: `readable by others: ${open.join(', ')}`, hint: `chmod go-rwx ${open.join(' ')}` }
}

function examineDurability(synchronous: unknown): Finding {
  const what = 'commits reach the disk'
  if (typeof synchronous === 'number' && synchronous >= synchronousFull) return { ok: true, what }
  return { ok: false, what, detail: `synchronous is ${synchronous}`, hint: 'restart the broker: it opens the file with synchronous=FULL' }
}
