import { createSecretKey, randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { loadConfig } from '@keyturn/config'
import { BrokerError } from '@keyturn/core'
import { Keyring } from '@keyturn/envelope'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../clock.ts'
import { kinds } from '../compose.ts'
import { pooledRandom } from '../random.ts'
import type { CopyResult } from './copy.ts'
import type { CopyAudit, Deployment } from './deployment.ts'
import { Side } from './side.ts'
import { StoreCopy } from './store-copy.ts'

const folder = mkdtempSync(join(tmpdir(), 'keyturn-copy-'))
afterAll(() => rmSync(folder, { recursive: true }))

const names = Array.from({ length: 20 }, (_, at) => `N${at}`)
const file = (name: string) => join(folder, name)
const newer = () => parseEnv(readFileSync(file('new.env'), 'utf8'))
const key = { id: 'key', key: createSecretKey(randomBytes(32)) }
// a copy uses the key of etags alone
const keys = { etag: key } as Deployment['keys']
const keyring = new Keyring({ keks: new Map([['k1', key.key]]), current: 'k1' })

/** An audit that takes so many records, and refuses the next. */
class ShortAudit implements CopyAudit {
  readonly path = 'audit.jsonl'
  readonly events: Parameters<CopyAudit['append']>[0][] = []
  room = Number.POSITIVE_INFINITY

  async append(event: Parameters<CopyAudit['append']>[0]): Promise<void> {
    if (this.events.length >= this.room) throw new BrokerError('unavailable', 'audit cannot be written: ENOSPC')
    this.events.push(event)
  }

  async close(): Promise<void> {}
}

let audit: ShortAudit
let results: CopyResult[]
const tell = (result: CopyResult) => results.push(result)
beforeEach(() => {
  audit = new ShortAudit()
  results = []
  writeFileSync(file('old.env'), names.map((name, at) => `${name}=value-${at}\n`).join(''))
  writeFileSync(file('new.env'), '')
})

/** A copy from one file of variables to another. */
async function copying(signal = new AbortController().signal): Promise<StoreCopy> {
  const section = (name: string) =>
    `${name}: { kind: dotenv, file: ${file(`${name}.env`)}, secrets: [${names.map(each => `{ path: ${each} }`).join(', ')}] }\n`
  const side = async (store: string) => {
    const reader = { read: async () => Buffer.from(section(store)) }
    const config = await loadConfig('keyturn.yaml', { env: {}, kinds: await kinds(), reader, cwd: folder })
    const deployment: Deployment = { config, keyring, keys, audit }
    const parts = {
      clock: systemClock,
      random: pooledRandom(),
      env: {},
      principal: 'cli:test',
      requestId: 'copy_1',
      onPause: () => undefined,
    }
    return { config, side: new Side({ ...parts, deployment, store, kinds: await kinds(), signal }) }
  }
  const [from, to] = [await side('old'), await side('new')]
  const options = { from: { config: from.config, store: 'old' }, to: { config: to.config, store: 'new' }, versions: false, env: {}, signal }
  return new StoreCopy(options, { from: from.side, to: to.side }, [audit], key.key)
}

describe('what cannot be recorded', () => {
  test('is not planned', async () => {
    audit.room = 7
    await expect((await copying()).plan()).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('could not be recorded'),
    })
  })

  test('ends the copy in its middle; what is not told is done again, or seen to be done, by the next run', async () => {
    const first = await copying()
    expect((await first.plan()).rows.every(({ action }) => action === 'create')).toBe(true)
    // the plan read each name in both stores; a move does so again, and writes
    audit.room = names.length * 2 + 40
    await expect(first.run(tell)).rejects.toMatchObject({ code: 'unavailable', hint: expect.stringContaining('run it again') })
    const recorded = audit.events.filter(({ action }) => action === 'write').length
    expect(results.length).toBeLessThan(names.length)
    expect(results.length).toBeLessThanOrEqual(recorded)
    audit.room = Number.POSITIVE_INFINITY
    results = []
    const second = await copying()
    await second.plan()
    await second.run(tell)
    await second.verify(tell)
    expect(newer()).toEqual(parseEnv(readFileSync(file('old.env'), 'utf8')))
    expect(results.filter(({ result }) => result === 'verified')).toHaveLength(names.length)
  })
})

test('a secret that is gone, or was changed there, since the plan is not copied', async () => {
  const copy = await copying()
  await copy.plan()
  writeFileSync(file('old.env'), readFileSync(file('old.env'), 'utf8').replace('N3=value-3\n', ''))
  writeFileSync(file('new.env'), 'N4=of somebody else\n')
  await copy.run(tell)
  const failed = results.filter(({ result }) => result === 'failed')
  expect(failed.map(({ name, code }) => [name, code]).sort()).toEqual([
    ['N3', 'conflict'],
    ['N4', 'conflict'],
  ])
  expect(newer()).toMatchObject({ N4: 'of somebody else', N5: 'value-5' })
  results = []
  await copy.verify(tell)
  // what failed was told already
  expect(results.map(({ result }) => result)).toEqual(Array.from({ length: 18 }, () => 'verified'))
})
