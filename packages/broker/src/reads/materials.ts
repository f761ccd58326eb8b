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
type CacheRules = Pick<SecretConfig, 'cacheMs' | 'maxStaleMs' | 'failClosed'>

/** Where a current version comes from. */
export interface MaterialSource {
  fetch(granted: Granted): Promise<Material>
  /** Whether what was read earlier is still current as far as anybody knows: nothing was promoted since, and it was not taken away. */
  holds(granted: Granted, earlier: Material): Promise<boolean>
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
  /** Of other versions than the current one, by what is asked for. */
  readonly #comingOthers = new Map<SecretName, Map<string, Promise<Material>>>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The current version, when it is at hand and fresh. */
  fresh(name: SecretName, nowMs: number): Material | undefined {
    const kept = this.#kept.get(name)
    return kept !== undefined && nowMs < kept.untilMs ? kept.material : undefined
  }

  /** The current version, from memory, from a fetch that is under way, or by `fetch`; an earlier one while no store answers, where the row allows it. */
  async current(granted: Granted, source: MaterialSource): Promise<Material> {
    const { name, config } = granted.entry
    const fresh = this.fresh(name, this.#clock.now().getTime())
    if (fresh !== undefined) return fresh
    const coming = this.#coming.get(name)
    if (coming !== undefined) return coming
    const asked = this.#fetch(granted, source)
    this.#coming.set(name, asked)
    try {
      const material = await asked
      // what was dropped on its way is old news to somebody
      if (this.#coming.get(name) === asked && material.parts.stale !== true) this.#keep(material, config)
      return material
    } finally {
      if (this.#coming.get(name) === asked) this.#coming.delete(name)
    }
  }

  /** Any other version, from a read of the same that is under way, or by `fetch`. It is not kept. */
  other(name: SecretName, which: string, fetch: () => Promise<Material>): Promise<Material> {
    const coming = this.#comingOthers.get(name) ?? new Map<string, Promise<Material>>()
    const same = coming.get(which)
    if (same !== undefined) return same
    this.#comingOthers.set(name, coming)
    const asked = fetch().finally(() => {
      coming.delete(which)
      if (coming.size === 0 && this.#comingOthers.get(name) === coming) this.#comingOthers.delete(name)
    })
    coming.set(which, asked)
    return asked
  }

  drop(name: SecretName): void {
    this.#kept.delete(name)
    this.#coming.delete(name)
    this.#comingOthers.delete(name)
  }

  clear(): void {
    this.#kept.clear()
    this.#coming.clear()
    this.#comingOthers.clear()
  }

  async #fetch(granted: Granted, source: MaterialSource): Promise<Material> {
    try {
      return await source.fetch(granted)
    } catch (error) {
      const stale = await this.#stale(granted, source, error)
      if (stale === undefined) throw error
      return stale
    }
  }

  /** What was kept before, when its store is away and the row allows it. */
  async #stale(granted: Granted, source: MaterialSource, error: unknown): Promise<Material | undefined> {
    const { name } = granted.entry
    const kept = this.#kept.get(name)
    const away = error instanceof BrokerError && (error.code === 'unavailable' || error.code === 'throttled')
    const now = this.#clock.now()
    if (!away || kept === undefined || now.getTime() >= kept.staleUntilMs) return undefined
    const holds = await source.holds(granted, kept.material).catch(() => false)
    // forgotten meanwhile: somebody knows better
    if (!holds || this.#kept.get(name) !== kept) return undefined
    const { grace, ...parts } = kept.material.parts
    return new Material({ ...parts, grace: grace !== null && grace.until > now ? grace : null, ttl: 0, stale: true })
  }

  #keep(material: Material, { cacheMs, maxStaleMs, failClosed }: CacheRules): void {
    const mayStandIn = maxStaleMs !== null && maxStaleMs > 0 && !failClosed
    if (cacheMs === 0 && !mayStandIn) return
    const { name, readMs } = material.parts
    // the answer tells the end of a grace, and must not outlive it
    const toldMs = material.parts.grace?.until.getTime() ?? Number.POSITIVE_INFINITY
    const untilMs = Math.min(readMs + cacheMs, toldMs)
    const staleUntilMs = mayStandIn ? readMs + cacheMs + maxStaleMs : untilMs
    if (this.#kept.size >= keptMax) this.#kept.clear()
    this.#kept.set(name, { material, untilMs, staleUntilMs })
  }
}
