import { type MemoryShape, memoryShapes } from '@keyturn/conformance'
import { type Rotation, SecretValue } from '@keyturn/core'
import { expect, test } from 'vitest'
import { after, at, begun, hourMs, minuteMs } from './story.ts'
import { fieldOf, TargetError } from './target.ts'

test('revocations that a compromise took over are carried out even if it is given up', async () => {
  const { world, rotation, target } = await begun()
  await world.run(rotation, at('grace'))
  const current = world.current() as SecretValue
  const compromise = await world.open({ mode: 'compromise' })
  target.preflight = async () => [{ ok: false, what: 'right to alter the role' }]
  expect((await world.run(compromise)).state).toBe('aborted')
  expect(target.accepts(world.base)).toBe(false)
  expect(target.accepts(current)).toBe(true)
  const rows = await world.ledger.journal.revocations(compromise.id)
  expect(rows.map(row => row.state)).toEqual(['done'])
  expect((await world.rows()).find(row => row.number === rows[0]?.number)?.fate).toBe('revoked')
})

test('an abort never ends the only credential that works', async () => {
  const { world, rotation, target } = await begun()
  after(world, 'issuer.apply', async () => {
    await target.revoke({} as never, world.base)
    await world.ledger.journal.wish(rotation.id, 'abort')
  })
  const held = await world.run(rotation, now => now.hold?.kind === 'needs-attention')
  expect(held.state).toBe('aborting')
  const pending = (await world.rows()).find(row => row.sealedAs === 'pending')
  expect(target.accepts(SecretValue.decode(pending?.sealed?.payload as Uint8Array))).toBe(true)
})

test('an abort ends when what the store serves works, whoever wrote it', async () => {
  const { world, rotation, target } = await begun({ strategy: 'single-user' })
  after(world, 'issuer.apply', async () => {
    const theirs = world.base.with({ password: 'theirs' })
    const pending = (await world.rows()).find(row => row.sealedAs === 'pending')
    await target.apply({} as never, theirs, SecretValue.decode(pending?.sealed?.payload as Uint8Array))
    world.overwrite(theirs)
    await world.ledger.journal.wish(rotation.id, 'abort')
  })
  expect((await world.run(rotation)).state).toBe('aborted')
  expect(fieldOf(world.current() as SecretValue, 'password')).toBe('theirs')
  expect(target.accepts(world.current() as SecretValue)).toBe(true)
})

test('an abort ends when nothing that is known works any more, and every candidate is kept', async () => {
  const { world, rotation, target } = await begun({ strategy: 'single-user' })
  target.apply = async () => {
    throw new TargetError('permission_denied', 'login refused')
  }
  target.probe = async (_, candidates) => candidates.map(() => 'refused')
  await world.run(rotation, now => now.hold?.kind === 'needs-attention')
  await world.ledger.journal.wish(rotation.id, 'abort')
  expect((await world.run(rotation)).state).toBe('aborted')
  expect((await world.rows()).map(row => row.sealedAs)).toEqual(['pending', 'previous'])
})

test('an old credential that still works after its revocation is revoked again', async () => {
  const { world, rotation, target } = await begun()
  const revoke = target.revoke.bind(target)
  let asked = 0
  target.revoke = async (act, value) => {
    asked += 1
    if (asked > 1) await revoke(act, value)
  }
  await world.checkDone(await world.run(rotation))
  expect(world.violations).toEqual([])
})

test('a target that asks for a pause without end is asked again within 15 minutes', async () => {
  const { world, rotation, target } = await begun()
  target.preflight = async () => {
    throw new TargetError('throttled', 'slow down')
  }
  for (const retryAfterMs of [1e18, Number.NaN]) {
    target.classify = () => ({ code: 'throttled', retryAfterMs })
    const { wakeAt } = (await world.engine().runOne({ holder: 'test', rotation: rotation.id })) as Rotation
    expect(wakeAt?.getTime()).toBeLessThanOrEqual(world.clock.now().getTime() + 15 * minuteMs)
    world.clock.advance(15 * minuteMs)
  }
})

test('the grace begins when the store has moved, however long that took', async () => {
  const { world, rotation } = await begun()
  after(world, 'store.write', () => world.clock.advance(18_000))
  await world.run(rotation, at('grace'))
  const old = (await world.rows()).find(row => row.label === 'previous')
  expect(old?.graceUntil?.getTime()).toBe(world.clock.now().getTime() + hourMs)
})

test('a compromise of a key set waits until verifiers know the new key', async () => {
  const { world, rotation, target } = await begun({ strategy: 'key-set' }, { mode: 'compromise' })
  const ended = await world.run(rotation)
  expect(ended).toMatchObject({ state: 'done', outcome: { revocation: 'proven' } })
  expect(target.accepts(world.base)).toBe(false)
  expect(world.violations).toEqual([])
})

test('a value that the target completes is the one that a store with stages serves', async () => {
  const { world, rotation, target } = await begun({ shape: memoryShapes.full })
  const apply = target.apply.bind(target)
  target.apply = async (...args) => (await apply(...args)).with({ host: 'db-2' })
  const ended = await world.run(rotation)
  expect(ended.state).toBe('done')
  expect(fieldOf(world.current() as SecretValue, 'host')).toBe('db-2')
})

test('a step that the ledger refuses calls a person instead of being repeated for ever', async () => {
  const { world, rotation } = await begun()
  let refusals = 0
  const record = world.ledger.journal.record.bind(world.ledger.journal)
  world.ledger.journal.record = async (lease, change) => {
    // a number that the ledger cannot take: two versions would be current
    if (change.rotation?.state !== 'promoted') return record(lease, change)
    refusals += 1
    return record(lease, { ...change, versions: [{ number: 99, label: 'current' }, ...(change.versions ?? [])] })
  }
  const held = await world.run(rotation, now => now.hold?.kind === 'needs-attention')
  expect(held).toMatchObject({ state: 'verified', attempts: 6, error: { code: 'internal' } })
  expect(refusals).toBe(6)
})

test('an outcome that was unclear stays so while the target cannot be probed', async () => {
  const { world, rotation, target } = await begun({ strategy: 'single-user' })
  let sent = 0
  const apply = target.apply.bind(target)
  target.apply = async (...args) => {
    sent += 1
    return apply(...args)
  }
  after(world, 'issuer.apply', () => {
    world.faults.die()
    throw new Error('the process dies')
  })
  const probe = target.probe.bind(target)
  let probes = 0
  target.probe = async (act, candidates) => {
    probes += 1
    return probes <= 2 ? candidates.map(() => 'unknown') : probe(act, candidates)
  }
  await world.checkDone(await world.run(rotation))
  expect({ violations: world.violations, sent }).toEqual({ violations: [], sent: 1 })
})

test('a store that is slower than a lease keeps its worker', async () => {
  const shape: MemoryShape = memoryShapes.bare
  const { world, rotation } = await begun({ strategy: 'generated', shape, storeTimeoutMs: 5 * minuteMs })
  let taken: Rotation | null = null
  after(world, 'store.write', async () => {
    for (let waited = 0; waited < 2 * minuteMs; waited += 5_000) {
      world.clock.advance(5_000)
      await new Promise(resolve => setImmediate(resolve))
    }
    taken = await world.engine().runOne({ holder: 'other', rotation: rotation.id })
  })
  await world.run(rotation)
  expect(taken).toBeNull()
  expect(world.made()).toBe(1)
})

test('a rollback does not undo what a person has confirmed', async () => {
  const { world, rotation, target } = await begun({ strategy: 'external' })
  await world.run(rotation, at('grace'))
  world.clock.advance(2 * hourMs)
  await world.engine().runOne({ holder: 'test' })
  await world.ledger.journal.wish(rotation.id, 'confirm')
  await expect(world.ledger.journal.wish(rotation.id, 'rollback')).rejects.toMatchObject({ code: 'conflict' })
  expect(target.accepts(world.current() as SecretValue)).toBe(true)
})

test('a person ends the credential that was rolled back', async () => {
  const { world, rotation, target } = await begun({ strategy: 'external' })
  await world.run(rotation, at('grace'))
  const made = world.current() as SecretValue
  await world.ledger.journal.wish(rotation.id, 'rollback')
  const held = await world.run(rotation, now => now.state === 'rolling-back' && now.hold?.kind === 'waiting' && now.hold.for === 'person')
  expect(held.wakeAt).toBeNull()
  expect((await world.rows()).find(row => row.number === held.number)?.fate).toBeNull()
  await world.ledger.journal.wish(rotation.id, 'confirm')
  expect(await world.engine().runOne({ holder: 'test' })).toMatchObject({ state: 'rolled-back', outcome: { revocation: 'done' } })
  expect(target.accepts(made)).toBe(true)
})

test('what was refused for good is never sent again after the config was away', async () => {
  const { world, rotation, target } = await begun()
  const sent: string[] = []
  const apply = target.apply.bind(target)
  target.apply = async (act, pending, current) => {
    sent.push(fieldOf(pending, 'password'))
    if (sent.length === 1) throw new TargetError('invalid_argument', 'breaks the password policy')
    return apply(act, pending, current)
  }
  await world.run(rotation, now => now.hold?.kind === 'ambiguous')
  world.clock.advance(minuteMs)
  const away = world.engine({ target: async () => Promise.reject(new Error('the row is gone')) })
  await away.runOne({ holder: 'away' })
  expect((await world.run(rotation)).state).toBe('done')
  expect(new Set(sent).size).toBe(sent.length)
})
