import { type MemoryShape, memoryShapes } from '@keyturn/conformance'
import { type Rotation, SecretValue, type StorePath, type VersionId } from '@keyturn/core'
import { expect, test } from 'vitest'
import { fieldOf, type SimulatedTarget, TargetError } from './target.ts'
import type { Console } from './targets.ts'
import { World, type WorldOptions } from './world.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const path = 'app/credential' as StorePath

async function begun(options: Partial<WorldOptions> = {}, request: Parameters<World['begin']>[0] = {}) {
  const world = new World({ strategy: 'alternating-users', shape: memoryShapes.counted, ...options })
  const rotation = await world.begin(request)
  return { world, rotation, target: world.target as SimulatedTarget }
}

const at = (state: Rotation['state']) => (now: Rotation) => now.state === state

/** A write through the broker, as its `PUT` makes one: noted, written, ended. */
async function put(world: World, value: SecretValue): Promise<VersionId> {
  const intent = await beginPut(world, value)
  world.overwrite(value)
  return endPut(world, intent)
}

function beginPut(world: World, value: SecretValue) {
  const before = world.backend.live(path)?.current
  const seal = (kind: 'previous' | 'pending', sealed: SecretValue) => (number: number) => ({
    kekId: 'k1',
    payload: sealed.encode(),
    wrap: Buffer.from(`${world.secret.id}/${number}/${kind}`),
  })
  return world.ledger.secrets.beginWrite({
    secretId: world.secret.id,
    idempotencyKey: 'a write',
    superseded: before?.value === undefined ? null : { version: before.id, seal: seal('previous', before.value) },
    next: seal('pending', value),
  })
}

async function endPut(world: World, intent: Awaited<ReturnType<typeof beginPut>>): Promise<VersionId> {
  const version = world.backend.live(path)?.current?.id as VersionId
  const graceUntil = new Date(world.clock.now().getTime() + hourMs)
  await world.ledger.secrets.endWrite(intent, { version, graceUntil, nextRotationAt: null })
  return version
}

/** Runs `act` once, right after the first outside call of this name. */
function after(world: World, call: string, act: () => void | Promise<void>): void {
  const check = world.faults.onCall
  let done = false
  world.faults.onCall = async () => {
    await check()
    if (done || world.faults.calls.at(-1) !== call) return
    done = true
    await act()
  }
}

test('a secret that was deleted behind the broker is made again', async () => {
  const { world, rotation } = await begun({ strategy: 'generated' })
  await world.checkDone(await world.run(rotation))
  world.backend.secrets.clear()
  const again = await world.run(await world.open({ trigger: 'first' }))
  expect(again).toMatchObject({ state: 'done', base: null })
  expect((await world.rows()).filter(row => row.label === 'current').map(row => row.number)).toEqual([again.number])
})

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
