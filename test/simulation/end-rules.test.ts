import { memoryShapes } from '@keyturn/conformance'
import { BrokerError, type Calendar, dueTime, type Rotation, type SecretId, type SecretValue } from '@keyturn/core'
import { describe, expect, test } from 'vitest'
import { at, begun, change, hourMs, minuteMs } from './begun.ts'
import { TargetError } from './target.ts'
import type { TwoUsers } from './targets.ts'
import { World } from './world.ts'

describe('revocation', () => {
  test('a revocation that fails is tried again and never forgotten', async () => {
    const { world, rotation, target } = await begun()
    let tries = 0
    change(target, 'revoke', real => async (...args) => {
      tries += 1
      if (tries <= 9) throw new TargetError('unavailable', 'the target is away')
      return real(...args)
    })
    const away = await world.run(rotation, now => now.hold?.kind === 'needs-attention')
    expect(away).toMatchObject({ state: 'revoking', outcome: { rotation: 'ok', revocation: 'pending' } })
    await world.checkDone(await world.run(rotation))
    expect(world.violations).toEqual([])
  })

  test('an old credential that still works after its revocation is called unproven', async () => {
    const { world, rotation, target } = await begun()
    change(target, 'revoke', () => async () => {})
    const ended = await world.run(rotation)
    expect(ended).toMatchObject({ state: 'done', outcome: { rotation: 'ok', revocation: 'unproven' } })
    expect(world.audited).toContain('rotation.unproven precondition_failed')
  })

  test('an encryption key is never ended by a schedule: it stays, to decrypt', async () => {
    const { world, rotation, target } = await begun({ strategy: 'key-set', type: 'encryption-key' })
    const ended = await world.run(rotation)
    const old = (await world.rows()).find(row => row.number === ended.base?.number)
    expect(ended).toMatchObject({ state: 'done', outcome: { revocation: 'done' } })
    expect(old).toMatchObject({ status: 'decrypt-only', fate: null })
    expect(target.accepts(world.base)).toBe(true)
  })

  test('a key set has exactly one primary at any time', async () => {
    const { world, rotation } = await begun({ strategy: 'key-set' })
    const primaries: number[] = []
    const check = world.faults.onCall
    world.faults.onCall = async () => {
      await check()
      primaries.push((await world.rows()).filter(row => row.status === 'primary').length)
    }
    const inGrace = await world.run(rotation, at('grace'))
    expect((await world.rows()).map(row => row.status)).toEqual(['primary', 'active'])
    await world.run(inGrace)
    expect((await world.rows()).map(row => row.status)).toEqual(['primary', 'inactive'])
    expect(primaries.slice(primaries.indexOf(1)).every(count => count === 1)).toBe(true)
  })
})

describe('rollback', () => {
  for (const [shape, what] of [
    [memoryShapes.full, 'moves the label back where the store has stages'],
    [memoryShapes.bare, 'writes the old value again where it has none'],
  ] as const) {
    test(`a rollback ${what}, and ends the version that was promoted`, async () => {
      const { world, rotation, target } = await begun({ shape })
      await world.run(rotation, at('grace'))
      const made = world.current() as SecretValue
      await world.ledger.journal.wish(rotation.id, 'rollback')
      const ended = await world.run(rotation)
      expect(ended).toMatchObject({ state: 'rolled-back', outcome: { rotation: 'rolled-back', revocation: 'done' } })
      expect(world.current()?.equals(world.base)).toBe(true)
      expect(target.accepts(world.base)).toBe(true)
      expect(target.accepts(made)).toBe(false)
      expect(world.violations).toEqual([])
    })
  }

  test('a rollback to a version that works no more is refused, and the rotation goes on', async () => {
    const { world, rotation, target } = await begun()
    await world.run(rotation, at('grace'))
    await (target as TwoUsers).revoke({ rotation: '', epoch: 0, idempotencyKey: '', signal: new AbortController().signal }, world.base)
    await world.ledger.journal.wish(rotation.id, 'rollback')
    const ended = await world.run(rotation)
    expect(ended).toMatchObject({ state: 'done', outcome: { rotation: 'ok' } })
    expect(world.audited).toContain('rotation.rollback-refused precondition_failed')
  })
})

test('a compromise that is called off while what leaked is served again waits for a person', async () => {
  const { world, rotation } = await begun({ strategy: 'generated', shape: memoryShapes.full })
  await world.run(rotation, at('grace'))
  await world.ledger.journal.wish(rotation.id, 'rollback')
  let compromise: Rotation | undefined
  const check = world.faults.onCall
  // the process that rolls back has looked for the last time; it moves the store once more
  world.faults.onCall = async () => {
    await check()
    if (compromise !== undefined || world.faults.calls.at(-1) !== 'store.enable') return
    compromise = await world.open({ mode: 'compromise', reason: 'it leaked' })
    await world.ledger.journal.wish(compromise.id, 'abort')
  }
  await world.run(rotation)
  if (compromise === undefined) throw new Error('no rollback came so far')
  const told = await world.run(compromise, now => now.hold?.kind === 'needs-attention')
  const why = 'store memory serves the old version of app/credential again; it stays valid'
  expect(told).toMatchObject({ state: 'aborting', mode: 'compromise', hold: { why }, error: { code: 'precondition_failed', message: why } })
  expect(world.current()?.equals(world.base)).toBe(true)
  expect(world.violations).toEqual([])
})

describe('bounded', () => {
  test('after six failures in a row a person is called, and it goes on every 15 minutes', async () => {
    const { world, rotation, target } = await begun()
    target.preflight = async () => {
      throw new TargetError('unavailable', 'the target is away')
    }
    const told = await world.run(rotation, now => now.hold?.kind === 'needs-attention')
    expect(told).toMatchObject({ state: 'queued', attempts: 6, error: { code: 'unavailable' } })
    const before = world.clock.now()
    const later = await world.run(rotation, now => now.attempts === 8)
    expect(later.attempts).toBe(8)
    expect(world.clock.now().getTime() - before.getTime()).toBeGreaterThanOrEqual(15 * minuteMs)
  })

  test('what the preflight cannot reach is looked at again; what it finds wrong ends the rotation', async () => {
    const { world, rotation, target } = await begun()
    const away = { ok: false, what: 'login', code: 'unavailable' } as const
    target.preflight = async () => [{ ok: true, what: 'name' }, away]
    const waiting = await world.run(rotation, now => now.attempts === 2)
    expect(waiting).toMatchObject({ state: 'queued', error: { code: 'unavailable' } })
    target.preflight = async () => [away, { ok: false, what: 'right to alter the role', code: 'permission_denied' }]
    expect(await world.run(rotation)).toMatchObject({ state: 'aborted', error: { code: 'precondition_failed' } })
  })

  test('a rotation that fails leaves current current and valid, and is due again later', async () => {
    const { world, rotation, target } = await begun()
    target.preflight = async () => [{ ok: false, what: 'right to alter the role', hint: 'grant it' }]
    const ended = await world.run(rotation)
    expect(ended).toMatchObject({ state: 'aborted', error: { code: 'precondition_failed' } })
    expect(ended.error?.message).toContain('right to alter the role (grant it)')
    expect(target.accepts(world.current() as SecretValue)).toBe(true)
    const next = (await world.ledger.secrets.byId(world.secret.id))?.nextRotationAt
    expect(next?.getTime()).toBeGreaterThan(world.clock.now().getTime())
  })

  test('nothing outside is changed before everything inside was checked', async () => {
    const { world, rotation, target } = await begun()
    target.preflight = async () => [{ ok: false, what: 'a free slot' }]
    await world.run(rotation)
    const effects = world.faults.calls.filter(call => /store\.(write|stage|promote)|issuer\.(apply|mint)/.test(call))
    expect(effects).toEqual([])
  })

  test('outside its window a rotation waits, and starts when the window opens', async () => {
    let open = false
    const next = new Date(Date.UTC(2026, 0, 16, 2))
    const calendar: Calendar = { allows: now => ({ open: open || now >= next, next }) }
    const { world, rotation } = await begun({ ports: { calendar } })
    const waiting = await world.run(rotation, now => now.hold !== null)
    expect(waiting).toMatchObject({ state: 'queued', hold: { kind: 'waiting', for: 'window' }, wakeAt: next })
    expect(world.faults.calls.filter(call => call.startsWith('store.'))).toEqual([])
    open = true
    await world.checkDone(await world.run(rotation))
    expect(world.violations).toEqual([])
  })

  test('compromise does not wait for a window', async () => {
    const calendar: Calendar = { allows: () => ({ open: false, next: null }) }
    const { world, rotation } = await begun({ ports: { calendar } }, { mode: 'compromise', reason: 'it leaked' })
    expect((await world.run(rotation)).state).toBe('done')
  })

  test('a rotation that needs a yes waits for it', async () => {
    const { world, rotation } = await begun({ settings: { approval: true } })
    const waiting = await world.run(rotation, now => now.hold !== null)
    expect(waiting).toMatchObject({ hold: { for: 'approval' }, wakeAt: null })
    await world.ledger.journal.approve(rotation.id)
    await world.checkDone(await world.run(rotation))
    expect(world.violations).toEqual([])
  })

  test('the next due time is the promotion plus the period plus a jitter of at most an hour, fixed for the secret', () => {
    const promoted = new Date(Date.UTC(2026, 0, 1))
    const jitters = Array.from({ length: 1_000 }, (_, index) => {
      const id = `sec_${index}` as SecretId
      const jitter = dueTime(promoted, 30 * 24 * hourMs, id).getTime() - promoted.getTime() - 30 * 24 * hourMs
      expect(dueTime(promoted, 30 * 24 * hourMs, id).getTime() - promoted.getTime() - 30 * 24 * hourMs).toBe(jitter)
      return jitter
    })
    expect(Math.min(...jitters)).toBeGreaterThanOrEqual(0)
    expect(Math.max(...jitters)).toBeLessThanOrEqual(hourMs)
    // spread evenly: no tenth of the hour has more than twice its share
    for (let tenth = 0; tenth < 10; tenth += 1) {
      const share = jitters.filter(jitter => Math.floor((jitter / hourMs) * 10) === tenth).length
      expect(share).toBeGreaterThan(50)
      expect(share).toBeLessThan(200)
    }
    expect(dueTime(promoted, 5 * minuteMs, 'sec_1' as SecretId).getTime()).toBe(promoted.getTime() + 5 * minuteMs)
  })
})

describe('audit', () => {
  test('done waits until the audit chain has every event', async () => {
    const { world, rotation } = await begun()
    await world.run(rotation, at('grace'))
    world.clock.advance(2 * hourMs)
    // nobody carries the outbox to the chain meanwhile
    const engine = world.engine()
    for (let turn = 0; turn < 5; turn += 1) {
      await engine.runOne({ holder: 'test' })
      world.clock.advance(2_000)
    }
    expect(await world.ledger.journal.rotation(rotation.id)).toMatchObject({ state: 'proven', hold: { for: 'audit' } })
    await world.checkDone(await world.run(rotation))
    expect(world.violations).toEqual([])
  })

  test('an unexpected error of a port is recorded without its text', async () => {
    const canary = 'hunter2-canary'
    const { world, rotation, target } = await begun()
    target.preflight = async () => {
      throw new Error(`cannot log in with ${canary}`)
    }
    const ended = await world.run(rotation)
    expect(JSON.stringify(ended)).not.toContain(canary)
    expect(new BrokerError('internal', 'x', { cause: new Error(canary) }).toJSON()).not.toHaveProperty('cause')
  })
})

describe('generated', () => {
  test('the first version of a secret that is not there is made, with nothing to supersede', async () => {
    const world = new World({ strategy: 'generated', shape: memoryShapes.counted })
    world.secret = await world.ledger.secrets.ensure('app/credential' as never)
    const ended = await world.run(await world.open({ trigger: 'first', reason: 'first version' }))
    expect(ended).toMatchObject({ state: 'done', base: null, outcome: { rotation: 'ok', revocation: 'none' } })
    expect(world.text()).toMatch(/^[A-Za-z0-9_-]{22}$/)
  })

  test('the old version is withheld by a store that can, and never destroyed', async () => {
    const { world, rotation } = await begun({ strategy: 'generated', shape: memoryShapes.full })
    const ended = await world.run(rotation)
    expect(ended.state).toBe('done')
    const [secret] = [...world.backend.secrets.values()]
    expect(secret?.versions.map(({ disabled, value }) => ({ disabled, kept: value !== undefined }))).toEqual([
      { disabled: true, kept: true },
      { disabled: false, kept: true },
    ])
  })
})
