import { createHash, randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SecretValue, type VersionInfo } from '@keyturn/core'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../clock.ts'
import { kinds } from '../compose.ts'
import { makeLog } from '../log.ts'
import { type OpenedBroker, openBroker } from '../open.ts'
import { pooledRandom } from '../random.ts'
import { readConfig } from '../start.ts'
import { visitBundle } from './bundled-secret.ts'
import { Drill } from './drill.ts'
import { openRestore, type RestoreOptions } from './restore.ts'
import type { RestoreRow } from './restoring.ts'
import { Shelf } from './shelf.fixture.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'keyturn-restore-'))
  writeFileSync(join(folder, 'keyturn.yaml'), 'broker: { keys: { provider: env } }\ndatabase: {}\n')
})
afterEach(() => rmSync(folder, { recursive: true }))

const kek = createHash('sha256').update('a KEK').digest('base64url')
const envOf = (data: string) => ({ KEYTURN_DATA: join(folder, data), KEYTURN_KEK_v1: kek, KEYTURN_CURRENT_KEK_ID: 'v1' })
const configOf = (data: string) => readConfig({ config: join(folder, 'keyturn.yaml'), cwd: folder, env: envOf(data) })

async function opened(data: string): Promise<OpenedBroker> {
  const log = makeLog({}, { write: () => undefined })
  const about = { clock: systemClock, random: pooledRandom(), log, version: '1' }
  return openBroker({ config: await configOf(data), kinds: await kinds(), env: envOf(data), ...about })
}

const storeOf = async ({ broker }: OpenedBroker, name: string) => {
  const entry = broker.catalog.find(name as Parameters<typeof broker.catalog.find>[0])
  if (entry === null) throw new Error(`no entry ${name}`)
  return { store: await entry.section.open(), path: entry.path }
}

async function restored(bundle: string, data: string, more: Partial<RestoreOptions> = {}): Promise<readonly RestoreRow[]> {
  const options = { bundle, overwrite: false, partial: false, env: envOf(data), signal: new AbortController().signal, ...more }
  const restore = await openRestore({ config: await configOf(data), ...options }, false)
  try {
    const rows: RestoreRow[] = []
    await restore.run(row => void rows.push(row))
    await restore.verify(row => expect.fail(`${row.name} is not as the bundle has it: ${row.why}`))
    return rows
  } finally {
    await restore.close()
  }
}

const stateOf = ({ state }: VersionInfo) => state

test('versions that are withheld come back withheld, and nobody could read one meanwhile', async () => {
  const source = await opened('data')
  const { store, path } = await storeOf(source, 'app/one')
  const made: VersionInfo[] = []
  for (const value of ['leaked', 'leaked too', 'fine', 'current'])
    made.push(await store.write(path, SecretValue.text(value), { idempotencyKey: randomUUID() }))
  for (const { version } of made.slice(0, 2)) await store.disable(path, version)
  const { file } = await source.broker.bundles.create({ reason: 'test' })
  await source.close(1_000)

  expect(await restored(file, 'other')).toMatchObject([{ name: 'app/one', action: 'new', versions: 4 }])
  expect(await restored(file, 'other')).toMatchObject([{ name: 'app/one', action: 'same', versions: 0 }])
  const other = await opened('other')
  const there = await storeOf(other, 'app/one')
  const versions = await Array.fromAsync(there.store.versions(there.path))
  expect(versions.map(stateOf)).toEqual(['current', 'previous', 'disabled', 'disabled'])
  const [, , second, first] = versions
  if (first === undefined || second === undefined) throw new Error('no such version')
  await expect(there.store.read(there.path, { version: first.version })).rejects.toMatchObject({ code: 'precondition_failed' })
  // one that is let out again by hand is withheld by the next restore
  await there.store.enable(there.path, second.version)
  await other.close(1_000)
  expect(await restored(file, 'other')).toMatchObject([{ action: 'behind', versions: 0, why: '1 to be withheld' }])
  const again = await opened('other')
  const last = await storeOf(again, 'app/one')
  expect((await Array.fromAsync(last.store.versions(last.path))).map(stateOf)).toEqual(['current', 'previous', 'disabled', 'disabled'])
  await again.close(1_000)
})

test('a secret of very many versions is opened in pieces: others get on', async () => {
  const shelf = new Shelf()
  try {
    const count = 5_000
    await shelf.put(
      'app/worn',
      Array.from({ length: count }, (_, at) => `value ${at}`),
    )
    const { file } = await shelf.bundles.create({ reason: '' })
    const drill = new Drill(shelf.parts)
    let turns = 0
    let isOver = false
    const turn = () => {
      turns += 1
      if (!isOver) setImmediate(turn)
    }
    turn()
    await visitBundle(file, null, {
      secret: async ({ versions }) => {
        const before = turns
        expect((await drill.open(versions)).length).toBe(count)
        expect(turns - before).toBeGreaterThan(20)
      },
      name: () => undefined,
      damage: ({ why }) => expect.fail(why),
    })
    isOver = true
    expect(drill.report(null)).toMatchObject({ secrets: 1, versions: count, opened: count })
  } finally {
    shelf.close()
  }
})
