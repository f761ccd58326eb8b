import { createSecretKey, randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BrokerError } from '@keyturn/core'
import type { KekProvider, ProvidedKeks } from '@keyturn/envelope'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { SimulatedClock } from '../../../../test/simulation/clock.ts'
import { systemClock } from '../clock.ts'
import { pooledRandom } from '../random.ts'
import { LiveKeys } from './live-keys.ts'
import { fileProvider } from './providers/file.ts'

const random = pooledRandom()
const kek = () => randomBytes(32).toString('base64url')
const live = () => new AbortController().signal
const turn = () => new Promise(resolve => setImmediate(resolve))

function listener() {
  const said: string[] = []
  return {
    said,
    changed: () => void said.push('changed'),
    trouble: (error: BrokerError) => void said.push(error.message),
    healed: () => void said.push('healed'),
  }
}

describe('keys of a provider elsewhere', () => {
  let clock: SimulatedClock
  let answer: () => ProvidedKeks
  let asked: number
  const keys = (...ids: string[]) => new Map(ids.map(id => [id, createSecretKey(randomBytes(32))]))
  const both = keys('k1', 'k2')
  const good = (): ProvidedKeks => ({ keks: both, current: 'k1', missing: [] })
  const away = (): never => {
    throw new BrokerError('unavailable', 'away', { hint: 'x' })
  }
  const provider = (maxAgeMs: number | null): KekProvider => ({
    kind: 'place',
    maxAgeMs,
    load: async () => {
      asked += 1
      return answer()
    },
    examine: async () => [],
    close: async () => undefined,
  })
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 1_000) {
      clock.advance(Math.min(1_000, left))
      await turn()
    }
  }

  beforeEach(() => {
    clock = new SimulatedClock()
    answer = good
    asked = 0
  })

  test('are asked for every minute, and every ten seconds while there is no answer', async () => {
    const ours = await LiveKeys.open(provider(3_600_000), clock)
    ours.start(listener())
    await pass(180_000)
    expect(asked).toBe(4)
    answer = away
    await pass(60_000)
    asked = 0
    await pass(60_000)
    expect(asked).toBe(6)
    await ours.close()
    await pass(600_000)
    expect(asked).toBe(6)
  })

  test('go on for the maximum age, then are let go of, and come back by themselves', async () => {
    const ours = await LiveKeys.open(provider(600_000), clock)
    const events = listener()
    ours.start(events)
    answer = away
    await pass(595_000)
    expect([ours.keyring.ids, ours.health.error?.message]).toEqual([['k1', 'k2'], 'away'])
    await pass(20_000)
    expect(ours.keyring.ids).toEqual([])
    expect(() => ours.keyring.kek('k2')).toThrow(expect.objectContaining({ code: 'unavailable', detail: { kekId: 'k2', loaded: [] } }))
    answer = good
    await pass(10_000)
    expect([ours.keyring.ids, ours.health.error, ours.keyring.currentId]).toEqual([['k1', 'k2'], null, 'k1'])
    expect(events.said).toEqual(['away', 'changed', 'healed', 'changed'])
    await ours.close()
  })

  test('are never let go of where the provider is here', async () => {
    const ours = await LiveKeys.open(provider(null), clock)
    ours.start(listener())
    answer = away
    await expect(ours.refresh()).rejects.toMatchObject({ code: 'unavailable' })
    await pass(100_000_000 / 1_000)
    expect(ours.keyring.ids).toEqual(['k1', 'k2'])
    await ours.close()
  })

  test('of which one is another than before are not taken', async () => {
    const ours = await LiveKeys.open(provider(600_000), clock)
    const events = listener()
    ours.start(events)
    answer = () => ({ ...good(), keks: keys('k1', 'k2') })
    await expect(ours.refresh()).rejects.toMatchObject({ code: 'invalid_argument' })
    expect(ours.keyring.kek('k1')).toBe(both.get('k1'))
    expect(events.said).toEqual(['KEK k1 is another key than before'])
    await ours.close()
  })

  test('without a first answer there are none, and the provider is closed', async () => {
    const closed: number[] = []
    answer = away
    const first = LiveKeys.open({ ...provider(1), close: async () => void closed.push(1) }, clock)
    await expect(first).rejects.toMatchObject({ code: 'unavailable' })
    expect(closed).toHaveLength(1)
  })
})

describe('keys of a folder', () => {
  let folder: string
  const write = (name: string, text: string) => writeFileSync(join(folder, name), text, { mode: 0o600 })
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'keyturn-folder-'))
    chmodSync(folder, 0o700)
    write('k1.key', kek())
    write('current', 'k1')
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  async function opened(clock = new SimulatedClock()) {
    const ours = await LiveKeys.open(fileProvider({ folder, random, clock, make: false }), clock)
    const events = listener()
    ours.start(events)
    const look = async () => {
      clock.advance(3_000)
      await turn()
    }
    return { ours, events, look }
  }

  test('come and go without a restart', async () => {
    const { ours, look } = await opened()
    write('k2.key', kek())
    await look()
    expect([ours.keyring.ids, ours.keyring.wanted]).toEqual([['k1', 'k2'], 'k1'])
    write('current', 'k2')
    await look()
    expect(ours.keyring.wanted).toBe('k2')
    rmSync(join(folder, 'k1.key'))
    await look()
    expect(ours.keyring.ids).toEqual(['k2'])
    await ours.close()
  })

  test('are taken soon after the system tells of a change', async () => {
    const ours = await LiveKeys.open(fileProvider({ folder, random, clock: systemClock, make: false }), systemClock)
    ours.start(listener())
    write('k2.key', kek())
    await expect.poll(() => ours.keyring.ids, { timeout: 8_000 }).toEqual(['k1', 'k2'])
    await ours.close()
  })

  test('half written are not taken: what was loaded stays, the reason is told once, and the whole is taken', async () => {
    const { ours, events, look } = await opened()
    const whole = kek()
    for (const length of [0, 1, 20, 42]) {
      write('k2.key', whole.slice(0, length))
      await look()
      expect(ours.keyring.ids).toEqual(['k1'])
    }
    expect(ours.health.error?.message).toContain('42 characters')
    expect(events.said.join('\n')).not.toContain(whole.slice(0, 12))
    write('k2.key', whole)
    await look()
    expect([ours.keyring.ids, ours.health.error]).toEqual([['k1', 'k2'], null])
    await ours.close()
  })

  test('that name a current one which is not there yet wait for it', async () => {
    const { ours, look } = await opened()
    write('current', 'k2')
    await look()
    expect([ours.keyring.wanted, ours.health.error?.message]).toEqual(['k1', 'the current KEK k2 is not loaded'])
    write('k2.key', kek())
    await look()
    expect(ours.keyring.wanted).toBe('k2')
    await ours.close()
  })

  test('are made with their turn, never over another, and destroyed for good', async () => {
    const { ours, look } = await opened()
    await ours.provider.make?.('k2', live())
    await look()
    expect(ours.keyring.wanted).toBe('k2')
    expect(statSync(join(folder, 'k2.key')).mode & 0o777).toBe(0o600)
    await expect(ours.provider.make?.('k1', live())).rejects.toMatchObject({ code: 'conflict' })
    await expect(ours.provider.make?.('../k3', live())).rejects.toMatchObject({ code: 'invalid_argument' })
    await expect(ours.provider.destroy?.('k2', live())).rejects.toMatchObject({ code: 'conflict' })
    await ours.provider.destroy?.('k1', live())
    await ours.provider.destroy?.('k1', live())
    await look()
    expect(ours.keyring.ids).toEqual(['k2'])
    await ours.close()
  })

  test('in a volume of Kubernetes, whose links are swapped as one, are taken as one', async () => {
    const mount = join(folder, 'mount')
    mkdirSync(mount, { mode: 0o777 })
    const put = (version: string, files: Readonly<Record<string, string>>) => {
      mkdirSync(join(mount, version))
      for (const [name, text] of Object.entries(files)) writeFileSync(join(mount, version, name), text, { mode: 0o440 })
      symlinkSync(version, join(mount, '..data_tmp'))
      renameSync(join(mount, '..data_tmp'), join(mount, '..data'))
      for (const name of Object.keys(files)) symlinkSync(join('..data', name), join(mount, `.${name}`))
      for (const name of Object.keys(files)) renameSync(join(mount, `.${name}`), join(mount, name))
    }
    const k1 = readFileSync(join(folder, 'k1.key'), 'utf8')
    put('..2026_01', { 'k1.key': k1, current: 'k1' })
    chmodSync(mount, 0o777)
    const clock = new SimulatedClock()
    const ours = await LiveKeys.open(fileProvider({ folder: mount, random, clock, make: false }), clock)
    ours.start(listener())
    put('..2026_02', { 'k1.key': k1, 'k2.key': kek(), current: 'k2' })
    clock.advance(3_000)
    await turn()
    expect([ours.keyring.ids, ours.keyring.wanted]).toEqual([['k1', 'k2'], 'k2'])
    chmodSync(join(mount, '..2026_02', 'k2.key'), 0o444)
    await expect(ours.refresh()).rejects.toMatchObject({ code: 'precondition_failed' })
    await ours.close()
  })
})
