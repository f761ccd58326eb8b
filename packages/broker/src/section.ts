import type { StoreAdapter } from '@keyturn/core'
import { BrokerError, type Clock, Store } from '@keyturn/core'

/**
 * One store of the config. It is opened when it is first asked for, and again when that failed: a store that is down at start keeps nobody from
 * starting.
 */
export class Section {
  readonly name: string
  readonly kind: string
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #load: () => Promise<StoreAdapter>
  #opening: Promise<Store> | null = null
  #state: 'ok' | 'unavailable' = 'ok'

  constructor(parts: {
    readonly name: string
    readonly kind: string
    readonly clock: Clock
    readonly timeoutMs: number
    readonly load: () => Promise<StoreAdapter>
  }) {
    this.name = parts.name
    this.kind = parts.kind
    this.#clock = parts.clock
    this.#timeoutMs = parts.timeoutMs
    this.#load = parts.load
  }

  /** Whether it answered when it was last asked. */
  get state(): 'ok' | 'unavailable' {
    return this.#state
  }

  open(): Promise<Store> {
    this.#opening ??= this.#open().catch((error: unknown) => {
      this.#opening = null
      throw error
    })
    return this.#opening
  }

  /**
   * Asks the store. A refusal of our own credential says whose it is: the caller did nothing wrong, and must not be told to log in.
   */
  async ask<T>(act: (store: Store) => Promise<T>): Promise<T> {
    try {
      const answer = await act(await this.open())
      this.#state = 'ok'
      return answer
    } catch (error) {
      throw this.#judge(error)
    }
  }

  async close(): Promise<void> {
    const opening = this.#opening
    this.#opening = null
    const store = await opening?.catch(() => undefined)
    await store?.close()
  }

  async #open(): Promise<Store> {
    return new Store(await this.#load(), { name: this.name, clock: this.#clock, timeoutMs: this.#timeoutMs })
  }

  #judge(error: unknown): unknown {
    if (!(error instanceof BrokerError)) return error
    const refused = error.code === 'unauthenticated' || error.code === 'permission_denied'
    this.#state = refused || error.code === 'unavailable' ? 'unavailable' : 'ok'
    if (!refused || error.detail?.store !== undefined) return error
    const { code, message, hint, detail, origin } = error
    return new BrokerError(code, message, {
      ...(hint === undefined ? {} : { hint }),
      detail: { ...detail, store: this.name },
      cause: origin,
    })
  }
}
