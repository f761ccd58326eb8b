import { DatabaseSync } from 'node:sqlite'
import { BrokerError } from '@keyturn/core'
import { expect, test } from 'vitest'
import { classify } from './classify.ts'
import { systemFiles } from './files.ts'

test.each([
  ['EACCES', 'permission_denied'],
  ['EROFS', 'permission_denied'],
  ['ENOSPC', 'unavailable'],
  ['ENOENT', 'unavailable'],
  ['ENOTDIR', 'invalid_argument'],
  ['ENOBODYKNOWS', 'internal'],
])('%s is %s', (code, named) => {
  expect(classify(Object.assign(new Error('no'), { code }))).toEqual({ code: named })
})

test('an error of ours keeps its code, and what is no error of the system is internal', () => {
  expect(classify(new BrokerError('conflict', 'changed'))).toEqual({ code: 'conflict' })
  expect(classify(new TypeError('x'))).toEqual({ code: 'internal' })
  expect(classify('thrown text')).toEqual({ code: 'internal' })
  expect(classify(AbortSignal.abort().reason)).toEqual({ code: 'cancelled' })
})

test('the system itself says ENOTDIR of a path through a file', async () => {
  const error = await systemFiles.read('/dev/null/.env', 1).catch((error: unknown) => error)
  expect(classify(error)).toEqual({ code: 'invalid_argument' })
})

test('SQLite itself says CANTOPEN of a lock that cannot be made', () => {
  let thrown: unknown
  try {
    new DatabaseSync('/dev/null/lock').exec('BEGIN EXCLUSIVE')
  } catch (error) {
    thrown = error
  }
  expect(classify(thrown)).toEqual({ code: 'permission_denied' })
})
