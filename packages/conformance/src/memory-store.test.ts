import type { StorePath } from '@keyturn/core'
import { SecretValue } from '@keyturn/core'
import { describe, expect, test } from 'vitest'
import { wallClock } from './clock.ts'
import { MemoryBackend, MemoryError, memoryShapes } from './memory-backend.ts'
import { seededRandom } from './memory-harness.ts'
import { openMemoryStore } from './memory-store.ts'

const path = 'app/key' as StorePath
const { signal } = new AbortController()
const clock = { ...wallClock, now: () => new Date(0) }

function backendOf(shape: keyof typeof memoryShapes, seed = 'one'): MemoryBackend {
  return new MemoryBackend(memoryShapes[shape], { clock, random: seededRandom(seed) })
}

async function story(backend: MemoryBackend): Promise<unknown[]> {
  const store = openMemoryStore(backend)
  const told: unknown[] = []
  for (const text of ['a', 'b', 'a']) told.push(await store.write(path, SecretValue.text(text), { idempotencyKey: text, signal }))
  return told
}

describe('the memory store', () => {
  test('tells the same story for the same seed, another for another', async () => {
    expect(await story(backendOf('counted'))).toEqual(await story(backendOf('counted')))
    expect(await story(backendOf('counted'))).not.toEqual(await story(backendOf('counted', 'two')))
  })

  test('names a version of a slot by path and value under its key', async () => {
    const backend = backendOf('slot')
    const told = (await story(backend)) as { version: string }[]
    expect(told[0]?.version).toMatch(/^[0-9a-f]{16}$/)
    expect(told[2]?.version).toBe(told[0]?.version)
    const elsewhere = await openMemoryStore(backend).write('other' as StorePath, SecretValue.text('a'), { idempotencyKey: 'c', signal })
    expect(elsewhere.version).not.toBe(told[0]?.version)
  })

  test('counts every version it made, also those a slot overwrote', async () => {
    const backend = backendOf('slot')
    await story(backend)
    expect(backend.made.map(({ idempotencyKey }) => idempotencyKey)).toEqual(['a', 'b', 'a'])
  })

  test('promotes a first version that was only staged', async () => {
    const store = openMemoryStore(backendOf('full'))
    const staged = await store.stages!.stage(path, SecretValue.text('a'), { idempotencyKey: 'a', signal })
    await expect(store.read(path, { signal })).rejects.toThrow(MemoryError)
    await store.stages!.promote(path, { from: null, to: staged.version }, { signal })
    expect((await store.read(path, { signal })).version).toBe(staged.version)
  })
})
