import { memoryShapes } from '@keyturn/conformance'
import type { Rotation, SecretValue, StorePath, VersionId } from '@keyturn/core'
import type { SimulatedTarget } from './target.ts'
import { World, type WorldOptions } from './world.ts'

export const minuteMs = 60_000
export const hourMs = 60 * minuteMs
export const path = 'app/credential' as StorePath

export async function begun(options: Partial<WorldOptions> = {}, request: Parameters<World['begin']>[0] = {}) {
  const world = new World({ strategy: 'alternating-users', shape: memoryShapes.counted, ...options })
  const rotation = await world.begin(request)
  return { world, rotation, target: world.target as SimulatedTarget }
}

export const at = (state: Rotation['state']) => (now: Rotation) => now.state === state

/** A write through the broker, as its `PUT` makes one: noted, written, ended. */
export async function put(world: World, value: SecretValue): Promise<VersionId> {
  const intent = await beginPut(world, value)
  world.overwrite(value)
  return endPut(world, intent)
}

export function beginPut(world: World, value: SecretValue) {
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

export async function endPut(world: World, intent: Awaited<ReturnType<typeof beginPut>>): Promise<VersionId> {
  const version = world.backend.live(path)?.current?.id as VersionId
  const graceUntil = new Date(world.clock.now().getTime() + hourMs)
  await world.ledger.secrets.endWrite(intent, { version, graceUntil, nextRotationAt: null })
  return version
}

/** Runs `act` once, right after the first outside call of this name. */
export function after(world: World, call: string, act: () => void | Promise<void>): void {
  const check = world.faults.onCall
  let done = false
  world.faults.onCall = async () => {
    await check()
    if (done || world.faults.calls.at(-1) !== call) return
    done = true
    await act()
  }
}
