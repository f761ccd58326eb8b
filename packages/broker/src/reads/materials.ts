import type { SecretConfig } from '@keyturn/config'
import { BrokerError, type Clock, type SecretName } from '@keyturn/core'
import type { Granted } from '../access.ts'
import { Material } from './material.ts'

interface Kept {
  readonly material: Material
  readonly untilMs: number
  /** Until when it may stand in for a store that is away. */
  readonly staleUntilMs: number
}

/** What a row says of keeping its values. */
type CacheRules = Pick<SecretConfig, 'cacheMs' | 'maxStaleMs' | 'failClosed' | 'strategy' | 'grace'>

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
      if (this.#coming.get(name) === asked) this.#keep(material, config)
      return material
    } catch (error) {
      const stale = this.#stale(name, error)
      if (stale === undefined) throw error
      return stale
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

  /** What was kept before, when its store is away and the row allows it. */
  #stale(name: SecretName, error: unknown): Material | undefined {
    const kept = this.#kept.get(name)
    const away = error instanceof BrokerError && (error.code === 'unavailable' || error.code === 'throttled')
    if (!away || kept === undefined || this.#clock.now().getTime() >= kept.staleUntilMs) return undefined
    return new Material({ ...kept.material.parts, source: 'cache', stale: true })
  }

  #keep(material: Material, { cacheMs, maxStaleMs, failClosed, strategy, grace }: CacheRules): void {
    if (cacheMs === 0) return
    const { name, readMs } = material.parts
    // the answer tells the end of a grace, and must not outlive it
    const toldMs = material.parts.grace?.until.getTime() ?? Number.POSITIVE_INFINITY
    const untilMs = Math.min(readMs + cacheMs, toldMs)
    // another broker may rotate it in the next moment: what is read now is good for a grace, whatever happens
    const goodMs = strategy === null ? Number.POSITIVE_INFINITY : readMs + grace.ms
    const staleUntilMs = failClosed || maxStaleMs === null ? untilMs : Math.min(untilMs + maxStaleMs, toldMs, goodMs)
    if (this.#kept.size >= keptMax) this.#kept.clear()
    this.#kept.set(name, { material, untilMs, staleUntilMs })
  }
}
