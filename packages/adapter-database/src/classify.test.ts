import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { wallClock } from '@keyturn/conformance'
import { BrokerError, type ErrorCode, remedies } from '@keyturn/core'
import type { Sql } from '@keyturn/sql'
import { SqliteDatabase } from '@keyturn/sql/sqlite'
import { expect, test } from 'vitest'
import { classify, named } from './classify.ts'

const from = (code: ErrorCode, origin: object) => new BrokerError(code, 'x', { cause: Object.assign(new Error('raw'), origin) })
const sqlite = (code: ErrorCode, errcode: number) => from(code, { code: 'ERR_SQLITE_ERROR', errcode })
const system = (code: string) => Object.assign(new Error('x'), { code })

test.each<[string, unknown, ErrorCode]>([
  ['a file that is read-only', sqlite('unavailable', 8), 'permission_denied'],
  ['a file that may not be touched', sqlite('unavailable', 3 | (1 << 8)), 'permission_denied'],
  ['a statement that is not authorised', sqlite('internal', 23), 'permission_denied'],
  ['a commit that the disk refused', sqlite('outcome_unknown', 10), 'outcome_unknown'],
  ['a full disk', sqlite('unavailable', 13), 'unavailable'],
  ['a wrong password', from('unavailable', { code: '28P01' }), 'unauthenticated'],
  ['a role that may not log in', from('unavailable', { code: '28000' }), 'unauthenticated'],
  ['a role without the right', from('permission_denied', { code: '42501' }), 'permission_denied'],
  ['a server that is not there', from('unavailable', { code: 'ECONNREFUSED' }), 'unavailable'],
  ['no access', system('EACCES'), 'permission_denied'],
  ['no space', system('ENOSPC'), 'unavailable'],
  ['no such file', system('ENOENT'), 'internal'],
  ['an abort', new DOMException('stopped', 'AbortError'), 'cancelled'],
  ['one of ours', new BrokerError('conflict', 'x'), 'conflict'],
  ['no error at all', 'text', 'internal'],
])('%s', (_, error, code) => {
  expect(classify(error)).toEqual({ code })
})

test('what SQLite really throws is named through the database, in and out of a transaction', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-classify-'))
  const sql: Sql = named(new SqliteDatabase({ file: join(folder, 'some.db'), clock: wallClock, what: 'store' }))
  await sql.rows('pragma query_only = on')
  const refusal = { code: 'permission_denied', message: 'store: it is read-only' }
  await expect(sql.rows('create table t (text)')).rejects.toMatchObject(refusal)
  await expect(sql.transaction(tx => tx.change('create table t (text)'))).rejects.toMatchObject(refusal)
  await sql.close()
  await expect(sql.rows('select 1')).rejects.toMatchObject({ code: 'unavailable' })
  rmSync(folder, { recursive: true })
})

test('nothing is ever taken for an absent secret', () => {
  for (let code = 0; code < 4096; code++) expect(classify(sqlite('internal', code)).code).not.toBe('not_found')
  expect(Object.keys(remedies)).toContain(classify(new Error('x')).code)
})
