import { DatabaseSync } from 'node:sqlite'
import { BrokerError, type ErrorCode, remedies } from '@keyturn/core'
import { expect, test } from 'vitest'
import { classify } from './classify.ts'

const sqlite = (errcode: number) => Object.assign(new Error('x'), { code: 'ERR_SQLITE_ERROR', errcode })
const system = (code: string) => Object.assign(new Error('x'), { code })

test.each<[string, unknown, ErrorCode]>([
  ['busy', sqlite(5), 'unavailable'],
  ['busy, recovering', sqlite(5 | (1 << 8)), 'unavailable'],
  ['locked', sqlite(6), 'unavailable'],
  ['read-only', sqlite(8), 'permission_denied'],
  ['input or output failed', sqlite(10), 'outcome_unknown'],
  ['fsync failed', sqlite(10 | (4 << 8)), 'outcome_unknown'],
  ['damaged', sqlite(11), 'corrupt'],
  ['full', sqlite(13), 'unavailable'],
  ['cannot open', sqlite(14), 'unavailable'],
  ['too big', sqlite(18), 'too_large'],
  ['no database', sqlite(26), 'corrupt'],
  ['a constraint', sqlite(19), 'internal'],
  ['not found, which SQLite says of its own internals', sqlite(12), 'internal'],
  ['an unknown result', sqlite(99), 'internal'],
  ['no access', system('EACCES'), 'permission_denied'],
  ['no space', system('ENOSPC'), 'unavailable'],
  ['no such file', system('ENOENT'), 'internal'],
  ['an abort', new DOMException('stopped', 'AbortError'), 'cancelled'],
  ['one of ours', new BrokerError('conflict', 'x'), 'conflict'],
  ['no error at all', 'text', 'internal'],
])('%s', (_, error, code) => {
  expect(classify(error)).toEqual({ code })
})

test('what SQLite really throws has the form that is read here', () => {
  const database = new DatabaseSync(':memory:')
  const thrown = (run: () => void): unknown => {
    try {
      run()
    } catch (error) {
      return error
    }
    return undefined
  }
  database.exec('create table full (text); pragma max_page_count = 2')
  expect(classify(thrown(() => database.exec('insert into full values (zeroblob(100000))')))).toEqual({ code: 'unavailable' })
  database.exec('pragma query_only = on')
  expect(classify(thrown(() => database.exec('drop table full')))).toEqual({ code: 'permission_denied' })
  database.close()
  expect(classify(thrown(() => database.exec('select 1')))).toEqual({ code: 'unavailable' })
})

test('nothing is ever taken for an absent secret', () => {
  for (let code = 0; code < 4096; code++) expect(classify(sqlite(code)).code).not.toBe('not_found')
  expect(Object.keys(remedies)).toContain(classify(new Error('x')).code)
})
