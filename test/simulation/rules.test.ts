import { type Rotation, SecretValue, type VersionId } from '@keyturn/core'
import { describe, expect, test } from 'vitest'
import { at, begun, change, hourMs, minuteMs } from './begun.ts'
import { fieldOf, TargetError } from './target.ts'
import { OneUser } from './targets.ts'

describe('reuse until proven', () => {
  test('after an unclear outcome, pending that works is kept and not set again', async () => {
    const { world, rotation, target } = await begun({ strategy: 'single-user' })
    let applied = 0
    change(target, 'apply', real => async (...args) => {
      applied += 1
      await real(...args)
      throw new TargetError('outcome_unknown', 'the reply was lost')
    })
    const ended = await world.run(rotation)
    await world.checkDone(ended)
    expect({ violations: world.violations, applied }).toEqual({ violations: [], applied: 1 })
  })

  test('after an unclear outcome, the same pending is sent again while current works', async () => {
    const { world, rotation, target } = await begun({ strategy: 'single-user' })
    const sent: string[] = []
    change(target, 'apply', real => async (act, pending, current) => {
      sent.push(fieldOf(pending, 'password'))
      if (sent.length === 1) throw new TargetError('outcome_unknown', 'cut before it arrived')
      return real(act, pending, current)
    })
    await world.checkDone(await world.run(rotation))
    expect(world.violations).toEqual([])
    expect(sent).toHaveLength(2)
    expect(sent[0]).toBe(sent[1])
  })

  test('when only the previous version logs in, pending is set with its login', async () => {
    const { world, rotation } = await begun({ strategy: 'single-user' })
    await world.checkDone(await world.run(rotation))
    const back = new OneUser()
    // the target was set back to the first password behind the broker's back
    Object.assign(world, { target: back })
    const again = await world.open({ reason: 'again' })
    const ended = await world.run(again)
    expect(ended.state).toBe('done')
    expect(back.accepts(world.current() as SecretValue)).toBe(true)
  })

  test('a value that the target refuses for good is quarantined, not deleted, and another one is made', async () => {
    const { world, rotation, target } = await begun()
    let refused = 0
    change(target, 'apply', real => async (...args) => {
      refused += 1
      if (refused === 1) throw new TargetError('invalid_argument', 'breaks the password policy')
      return real(...args)
    })
    const ended = await world.run(rotation)
    const rows = await world.rows()
    expect(ended).toMatchObject({ state: 'done', quarantined: 1 })
    expect(rows.filter(row => row.fate === 'quarantined')).toMatchObject([{ label: null, sealedAs: 'pending' }])
    expect(world.made()).toBe(1)
  })

  test('a target that refuses every value ends in an abort, with current untouched', async () => {
    const { world, rotation, target } = await begun()
    change(target, 'apply', () => async () => {
      throw new TargetError('invalid_argument', 'breaks the password policy')
    })
    const ended = await world.run(rotation)
    expect(ended).toMatchObject({ state: 'aborted', outcome: { rotation: 'aborted' } })
    expect(target.accepts(world.current() as SecretValue)).toBe(true)
    expect(world.made()).toBe(0)
  })

  test('when no candidate logs in, a person is called and every candidate is kept', async () => {
    const { world, rotation, target } = await begun({ strategy: 'single-user' })
    const locked = new OneUser()
    change(target, 'apply', () => async () => {
      throw new TargetError('permission_denied', 'login refused')
    })
    change(target, 'probe', () => async (_, candidates) => candidates.map(() => 'refused'))
    const ended = await world.run(rotation, now => now.hold?.kind === 'needs-attention')
    expect(ended).toMatchObject({ state: 'staged', hold: { kind: 'needs-attention' }, wakeAt: null })
    expect((await world.rows()).map(row => row.sealedAs)).toEqual(['pending', 'previous'])
    expect(locked.accepts(world.base)).toBe(true)
  })
})

describe('promotion', () => {
  test('current moves only after a new login with pending works', async () => {
    const { world, rotation, target } = await begun()
    let tries = 0
    change(target, 'verify', real => async (...args) => {
      tries += 1
      if (tries <= 3) throw new TargetError('permission_denied', 'the password has not spread yet')
      if (tries === 4) expect(world.current()?.equals(world.base)).toBe(true)
      return real(...args)
    })
    await world.checkDone(await world.run(rotation))
    expect(world.violations).toEqual([])
  })

  test('a version that never verifies is given up, and the target is restored', async () => {
    const { world, rotation, target } = await begun()
    change(target, 'verify', real => async (act, value) => {
      if (!value.equals(world.base)) throw new TargetError('permission_denied', 'a privilege is missing')
      return real(act, value)
    })
    const ended = await world.run(rotation)
    expect(ended).toMatchObject({ state: 'aborted', error: { code: 'permission_denied' } })
    expect(world.made()).toBe(0)
    expect(target.others(world.base)).toEqual([])
  })

  test('without an overlap an abort sets the target back to current', async () => {
    const { world, rotation, target } = await begun({ strategy: 'single-user' })
    change(target, 'verify', real => async (act, value) => {
      if (!value.equals(world.base)) throw new TargetError('permission_denied', 'a privilege is missing')
      return real(act, value)
    })
    const ended = await world.run(rotation)
    expect(ended.state).toBe('aborted')
    expect(target.accepts(world.base)).toBe(true)
  })

  test('a neighbour field stays byte for byte', async () => {
    const { world, rotation } = await begun({ strategy: 'alternating-users' })
    await world.run(rotation)
    expect(world.current()?.fieldNames).toEqual(['password', 'username'])
  })
})

describe('grace', () => {
  test('a second rotation in grace is refused with the earliest time', async () => {
    const { world, rotation } = await begun()
    const inGrace = await world.run(rotation, at('grace'))
    await expect(world.open()).rejects.toMatchObject({ code: 'conflict', detail: { earliest: inGrace.graceUntil } })
  })

  test('a rotation waits for the grace that a write through the broker has promised', async () => {
    const { world, rotation } = await begun({ strategy: 'generated' })
    const { version } = (await world.run(rotation)) as Rotation
    const seal = () => ({ kekId: 'k1', payload: world.base.encode(), wrap: new Uint8Array() })
    const superseded = { version: version as VersionId, seal }
    const write = await world.ledger.secrets.beginWrite({ secretId: world.secret.id, idempotencyKey: 'key', superseded, next: seal })
    const graceUntil = new Date(world.clock.now().getTime() + hourMs)
    world.overwrite(SecretValue.text('written'))
    await world.ledger.secrets.endWrite(write, { version: 'written' as VersionId, graceUntil, nextRotationAt: null })
    const next = await world.open()
    expect(await world.run(next, now => now.hold !== null)).toMatchObject({ state: 'queued', hold: { for: 'grace' }, wakeAt: graceUntil })
    expect((await world.run(next)).state).toBe('done')
  })

  test('a grace override lengthens the grace and never shortens it', async () => {
    const longer = await begun({}, { graceOverrideMs: 5 * hourMs })
    const shorter = await begun({}, { graceOverrideMs: minuteMs })
    const until = async ({ world, rotation }: typeof longer) => {
      const now = await world.run(rotation, at('grace'))
      const old = (await world.rows()).find(row => row.label === 'previous')
      return (old?.graceUntil?.getTime() ?? 0) - (now.stateAt.getTime() ?? 0)
    }
    expect(await until(longer)).toBe(5 * hourMs)
    expect(await until(shorter)).toBe(hourMs)
  })

  test('the grace counts from the moment of being superseded', async () => {
    const { world, rotation } = await begun()
    await world.run(rotation, at('grace'))
    const old = (await world.rows()).find(row => row.label === 'previous')
    expect(old?.graceUntil?.getTime()).toBe((old?.supersededAt?.getTime() ?? 0) + hourMs)
  })

  test('compromise ends the grace that is running and grants none of its own', async () => {
    const { world, rotation, target } = await begun()
    await world.run(rotation, at('grace'))
    const leaked = world.current() as SecretValue
    const began = world.clock.now().getTime()
    const compromise = await world.open({ mode: 'compromise', reason: 'it leaked' })
    const ended = await world.run(compromise)
    expect(ended).toMatchObject({ state: 'done', outcome: { revocation: 'proven' } })
    expect(target.accepts(leaked) || target.accepts(world.base)).toBe(false)
    expect(target.accepts(world.current() as SecretValue)).toBe(true)
    expect(world.clock.now().getTime() - began).toBeLessThan(minuteMs)
  })

  test('nothing is revoked while a consumer is still on the old version', async () => {
    const behind = new Set(['checkout'])
    const { world, rotation, target } = await begun({ ports: { consumers: { behind: async () => [...behind] } } })
    const waiting = await world.run(rotation, now => now.hold?.kind === 'waiting' && now.hold.for === 'consumers')
    expect(waiting).toMatchObject({ state: 'grace', hold: { detail: 'checkout' } })
    expect(target.accepts(world.base)).toBe(true)
    behind.clear()
    await world.checkDone(await world.run(rotation))
    expect(world.violations).toEqual([])
  })

  test('nothing is revoked before the new version has worked once more', async () => {
    const { world, rotation, target } = await begun()
    await world.run(rotation, at('grace'))
    change(target, 'verify', () => async () => {
      throw new TargetError('permission_denied', 'the new user was dropped')
    })
    const stuck = await world.run(rotation, now => now.hold?.kind === 'needs-attention')
    expect(stuck.state).toBe('grace')
    expect(target.accepts(world.base)).toBe(true)
  })

  test('nothing is revoked when someone has put the old version back', async () => {
    const { world, rotation, target } = await begun()
    await world.run(rotation, at('grace'))
    world.overwrite(world.base)
    const stuck = await world.run(rotation, now => now.hold?.kind === 'needs-attention')
    expect(stuck.state).toBe('grace')
    expect(target.accepts(world.base)).toBe(true)
  })
})
