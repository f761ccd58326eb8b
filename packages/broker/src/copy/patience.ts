import { BrokerError, type Clock } from '@keyturn/core'

const attemptsMax = 6
const firstPauseMs = 500
/** A store that asks for a longer pause than this is left for another run. */
const pauseMaxMs = 120_000

/** Told of each pause: how long, and why. */
export type OnPause = (ms: number, error: BrokerError) => void

/**
 * Calls of one store that give way together: when it says that it is asked too much, or cannot be reached for a moment, all of them wait as long as it
 * asks, and the call is made again. Only for calls that may be made twice.
 */
export class Patience {
  readonly #clock: Clock
  readonly #onPause: OnPause
  #openAtMs = 0

  constructor(clock: Clock, onPause: OnPause) {
    this.#clock = clock
    this.#onPause = onPause
  }

  async run<T>(act: () => Promise<T>, signal: AbortSignal): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      await this.#opened(signal)
      try {
        return await act()
      } catch (error) {
        const pauseMs = pauseOf(error, attempt)
        if (pauseMs === undefined || !(error instanceof BrokerError)) throw error
        const untilMs = this.#clock.now().getTime() + pauseMs
        if (untilMs > this.#openAtMs) this.#onPause(pauseMs, error)
        this.#openAtMs = Math.max(this.#openAtMs, untilMs)
      }
    }
  }

  async #opened(signal: AbortSignal): Promise<void> {
    for (;;) {
      if (signal.aborted) throw new BrokerError('cancelled', 'the copy was stopped')
      const leftMs = this.#openAtMs - this.#clock.now().getTime()
      if (leftMs <= 0) return
      await paused(this.#clock, leftMs, signal)
    }
  }
}

/** How long to wait before the call is made again; undefined: not again. */
function pauseOf(error: unknown, attempt: number): number | undefined {
  if (!(error instanceof BrokerError) || attempt === attemptsMax) return undefined
  // a key of ours that is not loaded does not come by waiting
  if (error.detail?.kekId !== undefined) return undefined
  // what cannot be reached is likely to stay so: it is not waited for as long as what asks for patience
  if (error.code !== 'throttled' && !(error.code === 'unavailable' && attempt < 3)) return undefined
  const pauseMs = error.retryAfterMs ?? firstPauseMs * 2 ** (attempt - 1)
  return pauseMs > pauseMaxMs ? undefined : pauseMs
}

function paused(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const end = () => {
      cancel()
      signal.removeEventListener('abort', end)
      resolve()
    }
    const cancel = clock.after(ms, end)
    signal.addEventListener('abort', end)
  })
}
