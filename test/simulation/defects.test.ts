import { memoryShapes } from '@keyturn/conformance'
import { type Rotation, SecretValue } from '@keyturn/core'
import { expect, test } from 'vitest'
import { after, at, beginPut, begun, endPut, minuteMs, path, put } from './story.ts'
import { TargetError } from './target.ts'
import type { Console } from './targets.ts'

for (const trigger of ['first', 'schedule'] as const) {
  test(`a secret that its store has lost is not made anew (${trigger}): the ledger knows that it was there`, async () => {
    const { world, rotation } = await begun({ strategy: 'generated' })
    await world.checkDone(await world.run(rotation))
    world.backend.secrets.clear()
    const made = world.made()
    const again = await world.run(await world.open({ trigger }))
    expect(again).toMatchObject({ state: 'aborted', error: { code: 'precondition_failed' } })
    expect(again.error?.message).toContain('was current')
    expect([world.current(), world.made()]).toEqual([undefined, made])
  })
}

test('a secret that vanishes after the preflight is not replaced by a value that the target never saw', async () => {
  const { world, rotation } = await begun()
  after(world, 'issuer.preflight', () => world.backend.secrets.clear())
  expect(await world.run(rotation)).toMatchObject({ state: 'aborted', error: { code: 'not_found' } })
  expect(world.current()).toBeUndefined()
})

test('a first version that someone else made meanwhile stays', async () => {
  const { world, rotation } = await begun({ strategy: 'generated' }, { trigger: 'first' })
  expect(await world.run(rotation)).toMatchObject({ state: 'aborted', error: { code: 'conflict' } })
  expect(world.current()?.equals(world.base)).toBe(true)
  expect(world.made()).toBe(0)
})

for (const [shape, what] of [
  [memoryShapes.counted, 'history'],
  [memoryShapes.bare, 'one slot'],
] as const) {
  test(`a write through the broker in grace neither stops the rotation nor loses what it promoted (${what})`, async () => {
    const { world, rotation, target } = await begun({ shape })
    const { number } = await world.run(rotation, at('grace'))
    const promoted = world.current() as SecretValue
    const theirs = await target.apply({} as never, promoted.with({ password: 'theirs' }), promoted)
    world.clock.advance(minuteMs)
    await put(world, theirs)
    const ended = await world.run(rotation)
    expect(ended).toMatchObject({ state: 'done', outcome: { rotation: 'ok', revocation: 'proven' } })
    expect(target.accepts(world.base)).toBe(false)
    expect(target.accepts(theirs)).toBe(true)
    const row = (await world.rows()).find(version => version.number === number)
    expect(row).toMatchObject({ sealedAs: 'previous', fate: null })
    expect(SecretValue.decode(row?.sealed?.payload as Uint8Array).equals(promoted)).toBe(true)
  })
}

test('a rollback after someone has put the old value back through the broker is refused', async () => {
  const { world, rotation } = await begun()
  await world.run(rotation, at('grace'))
  await put(world, world.base)
  await world.ledger.journal.wish(rotation.id, 'rollback')
  const held = await world.run(rotation, now => now.hold?.kind === 'needs-attention')
  expect(held.state).toBe('grace')
  expect(world.audited).toContain('rotation.rollback-refused precondition_failed')
  expect(world.target?.accepts(world.base)).toBe(true)
})

test('a write that was under way when a compromise began does not stop it', async () => {
  const { world, rotation } = await begun({ strategy: 'generated' })
  await world.checkDone(await world.run(rotation))
  const theirs = SecretValue.text('theirs')
  const intent = await beginPut(world, theirs)
  const compromise = await world.open({ mode: 'compromise' })
  world.overwrite(theirs)
  after(world, 'journal.reserve', async () => void (await endPut(world, intent)))
  const ended = await world.run(compromise)
  expect(ended.state).toBe('done')
  expect((await world.rows()).filter(row => row.label === 'current').map(row => row.number)).toEqual([ended.number])
})

test('a rollback after the store withheld the old version enables it again', async () => {
  const { world, rotation } = await begun({ strategy: 'generated', shape: memoryShapes.full })
  after(world, 'store.disable', () => world.faults.die())
  await world.run(rotation, () => world.faults.calls.includes('store.disable'))
  await world.ledger.journal.wish(rotation.id, 'rollback')
  expect(await world.run(rotation)).toMatchObject({ state: 'rolled-back' })
  expect(world.current()?.equals(world.base)).toBe(true)
  expect(world.backend.live(path)?.current?.disabled).toBe(false)
})

test('a wish that arrives in the middle of a slow step is looked at at once', async () => {
  const { world, rotation, target } = await begun({ strategy: 'single-user' })
  target.apply = async () => {
    throw new TargetError('permission_denied', 'login refused')
  }
  target.probe = async (_, candidates) => {
    await world.ledger.journal.wish(rotation.id, 'abort')
    // the lease is renewed meanwhile, and with that the ledger has told of the wish
    world.clock.advance(25_000)
    return candidates.map(() => 'refused')
  }
  const engine = world.engine()
  for (let turn = 0; turn < 3; turn += 1) {
    await engine.runOne({ holder: 'test' })
    world.clock.advance(5_000)
  }
  expect((await world.ledger.journal.rotation(rotation.id)).state).toBe('aborting')
})

test('a person who enters the value that is current now is asked again', async () => {
  const { world, rotation, target } = await begun({ strategy: 'external' })
  const engine = world.engine()
  const enter = async (value: SecretValue) => {
    await world.ledger.journal.enter(rotation.id, number => ({
      kekId: 'k1',
      payload: value.encode(),
      wrap: Buffer.from(`${world.secret.id}/${number}/pending`),
    }))
    return engine.runOne({ holder: 'test' })
  }
  await engine.runOne({ holder: 'test' })
  expect(await enter(world.base)).toMatchObject({ state: 'backed-up', hold: { kind: 'waiting', for: 'person' } })
  const ended = await world.run(rotation)
  expect(ended.state).toBe('done')
  expect(target.accepts(world.current() as SecretValue)).toBe(true)
})

test('a person who enters a value while a worker looks for one enters it once', async () => {
  const { world, rotation, target } = await begun({ strategy: 'external' })
  const engine = world.engine()
  await engine.runOne({ holder: 'test' })
  await world.ledger.journal.wish(rotation.id, null)
  const enter = () => {
    const value = (target as Console).create()
    return world.ledger.journal.enter(rotation.id, number => ({
      kekId: 'k1',
      payload: value.encode(),
      wrap: Buffer.from(`${world.secret.id}/${number}/pending`),
    }))
  }
  after(world, 'journal.versions', async () => void (await enter()))
  await engine.runOne({ holder: 'test' })
  await expect(enter()).rejects.toMatchObject({ code: 'conflict' })
  expect((await world.run(rotation)).state).toBe('done')
})

test('a target that mints the credential it already has is no reason to end it', async () => {
  const { world, rotation, target } = await begun({ strategy: 'api-key-pair' })
  Object.assign(target, { mint: async () => world.base })
  expect(await world.run(rotation)).toMatchObject({ state: 'aborted', error: { code: 'precondition_failed' } })
  expect(target.accepts(world.base)).toBe(true)
})

test('a version that was rolled back and put back into the store is not ended', async () => {
  const { world, rotation, target } = await begun()
  await world.run(rotation, at('grace'))
  const made = world.current() as SecretValue
  await world.ledger.journal.wish(rotation.id, 'rollback')
  await world.run(rotation, now => now.state === 'rolling-back' && now.hold?.kind === 'waiting')
  world.overwrite(made)
  const held = await world.run(rotation, now => now.hold?.kind === 'needs-attention')
  expect(held.state).toBe('rolling-back')
  expect(target.accepts(made)).toBe(true)
})

test('a version that was rolled back is not ended before the old one has worked once more', async () => {
  const { world, rotation, target } = await begun()
  await world.run(rotation, at('grace'))
  const made = world.current() as SecretValue
  await world.ledger.journal.wish(rotation.id, 'rollback')
  await world.run(rotation, now => now.state === 'rolling-back' && now.hold?.kind === 'waiting')
  await target.revoke({} as never, world.base)
  const held = await world.run(rotation, now => now.hold?.kind === 'needs-attention')
  expect(held.state).toBe('rolling-back')
  expect(target.accepts(made)).toBe(true)
})

test('copies get the old version back before the one that was promoted is ended', async () => {
  let reachable = true
  const published: string[] = []
  const publisher = {
    async publish(_: unknown, { state }: Rotation) {
      if (!reachable) throw new Error('the copy is away')
      published.push(state)
      return { kind: 'complete' } as const
    },
  }
  const { world, rotation, target } = await begun({ ports: { publisher } })
  await world.run(rotation, at('grace'))
  const made = world.current() as SecretValue
  reachable = false
  await world.ledger.journal.wish(rotation.id, 'rollback')
  const held = await world.run(rotation, now => now.hold?.kind === 'needs-attention')
  expect(held.state).toBe('rolling-back')
  expect(target.accepts(made)).toBe(true)
  reachable = true
  expect((await world.run(rotation)).state).toBe('rolled-back')
  expect(published).toEqual(['promoted', 'rolling-back'])
})

test('an encryption key that was rolled back stays, to decrypt', async () => {
  const { world, rotation, target } = await begun({ strategy: 'key-set', type: 'encryption-key' })
  await world.run(rotation, at('grace'))
  const made = world.current() as SecretValue
  await world.ledger.journal.wish(rotation.id, 'rollback')
  const ended = await world.run(rotation)
  expect(ended).toMatchObject({ state: 'rolled-back', outcome: { revocation: 'done' } })
  expect((await world.rows()).find(row => row.number === ended.number)).toMatchObject({ status: 'decrypt-only', fate: null })
  expect(target.accepts(made)).toBe(true)
})
