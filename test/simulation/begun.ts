import { memoryShapes } from '@keyturn/conformance'
import type { Rotation } from '@keyturn/core'
import type { SimulatedTarget } from './target.ts'
import { World, type WorldOptions } from './world.ts'

export const minuteMs = 60_000
export const hourMs = 60 * minuteMs

/** A world with one rotation queued; two users on a store that counts versions, unless a test says otherwise. */
export async function begun(options: Partial<WorldOptions> = {}, request: Parameters<World['begin']>[0] = {}) {
  const world = new World({ strategy: 'alternating-users', shape: memoryShapes.counted, ...options })
  const rotation = await world.begin(request)
  return { world, rotation, target: world.target as SimulatedTarget }
}

export const at = (state: Rotation['state']) => (now: Rotation) => now.state === state

/** Replaces a method of a target: `behave` gets the real one. */
export function change<K extends 'apply' | 'verify' | 'revoke' | 'prove' | 'probe'>(
  target: SimulatedTarget,
  method: K,
  behave: (real: SimulatedTarget[K]) => SimulatedTarget[K],
): void {
  target[method] = behave(target[method].bind(target) as SimulatedTarget[K])
}
