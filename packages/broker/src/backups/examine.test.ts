import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadConfig } from '@keyturn/config'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { kinds } from '../compose.ts'
import { examineBackups } from './examine.ts'
import { Shelf } from './shelf.fixture.ts'

let shelf: Shelf
beforeEach(() => {
  shelf = new Shelf()
})
afterEach(() => shelf.close())

const day = 86_400_000

async function found(text = 'database: {}\n') {
  const reader = { read: async () => Buffer.from(`broker: { data: ${shelf.folder} }\n${text}`) }
  const config = await loadConfig('keyturn.yaml', { env: {}, kinds: await kinds(), reader, cwd: shelf.folder })
  return examineBackups(config, new Date(shelf.nowMs))
}

test('an old bundle, or none, is a remark and no failure; a renewal makes none younger', async () => {
  expect(await found()).toEqual([])
  writeFileSync(join(shelf.folder, 'root.json'), '{}')
  expect(await found('dotenv: { file: .env }\n')).toEqual([])
  expect(await found()).toMatchObject([{ ok: true, detail: 'warning: there is none' }])
  await shelf.put('app/one', ['1'])
  await shelf.bundles.create({ reason: '' })
  expect(await found()).toEqual([{ ok: true, what: `backups in ${shelf.bundles.folder}`, detail: 'the newest is 0 h old' }])
  shelf.nowMs += 3 * day
  shelf.hold('v2', 'v1')
  await shelf.bundles.renew({ kind: 'rewrap', pass: 'op_1', toKek: 'v2', signal: new AbortController().signal })
  expect(await found()).toMatchObject([{ ok: true, detail: 'warning: the newest is 3 d old' }])
  await shelf.bundles.create({ reason: '' })
  shelf.nowMs += day / 2
  expect(await found()).toMatchObject([{ ok: true, detail: 'the newest is 12 h old' }])
})

test('a file that is no bundle counts as none', async () => {
  writeFileSync(join(shelf.folder, 'root.json'), '{}')
  mkdirSync(shelf.bundles.folder)
  writeFileSync(join(shelf.bundles.folder, 'bak_00000000000000000000000000.jsonl'), 'spoilt')
  expect(await found()).toMatchObject([{ detail: 'warning: there is none' }])
})
