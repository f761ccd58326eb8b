import type { Clock, SecretName } from '@keyturn/core'
import type { Granted } from '../access.ts'
import type { Material } from './material.ts'

interface Kept {
  readonly material: Material
  readonly untilMs: number
}

const keptMax = 10_000

/**
 * Current versions: kept in memory as long as their row's `cache` says, and fetched once when many want the same at the same time.
 * `drop` forgets one, and what is on its way for it, so that nobody is given what was before a change that they know of.
 */
export class Materials {
  readonly #clock: Clock
  readonly #kept = new Map<SecretName, Kept>()
  readonly #coming = new Map<SecretName, Promise<Material>>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The current version, when it is at hand and fresh. */
  fresh(name: SecretName, nowMs: number): Material | undefined {
    const kept = this.#kept.get(name)
    return kept !== undefined && nowMs < kept.untilMs ? kept.material : undefined
  }

  /** The current version, from memory, from a fetch that is under way, or by `fetch`. */
  async current(granted: Granted, fetch: (granted: Granted) => Promise<Material>): Promise<Material> {
    const { name, config } = granted.entry
    const fresh = this.fresh(name, this.#clock.now().getTime())
    if (fresh !== undefined) return fresh
    const coming = this.#coming.get(name)
    if (coming !== undefined) return coming
    const asked = fetch(granted)
    this.#coming.set(name, asked)
    try {
      const material = await asked
      // what was dropped on its way is old news to somebody
      if (this.#coming.get(name) === asked) this.#keep(name, material, config.cacheMs)
      return material
    } finally {
      if (this.#coming.get(name) === asked) this.#coming.delete(name)
    }
  }

  drop(name: SecretName): void {
    this.#kept.delete(name)
    this.#coming.delete(name)
  }

  clear(): void {
    this.#kept.clear()
    this.#coming.clear()
  }

  #keep(name: SecretName, material: Material, cacheMs: number): void {
    if (cacheMs === 0) return
    // the answer tells the end of a grace, and must not outlive it
    const graceMs = material.parts.grace?.until.getTime() ?? Number.POSITIVE_INFINITY
    if (this.#kept.size >= keptMax) this.#kept.clear()
    this.#kept.set(name, { material, untilMs: Math.min(material.parts.readMs + cacheMs, graceMs) })
  }
}
