import { orAbort } from '@keyturn/core'

/** Lets so many calls run at once; others wait for a place, first come first served, until their signal. */
export class InFlight {
  #free: number
  readonly #waiting: (() => void)[] = []

  constructor(most: number) {
    this.#free = most
  }

  async run<T>(signal: AbortSignal, call: () => Promise<T>): Promise<T> {
    await this.#place(signal)
    try {
      return await call()
    } finally {
      this.#leave()
    }
  }

  async #place(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.#free > 0) {
      this.#free -= 1
      return
    }
    let take: () => void = () => undefined
    const taken = new Promise<void>(resolve => (take = resolve))
    this.#waiting.push(take)
    try {
      await orAbort(taken, signal)
    } catch (error) {
      const at = this.#waiting.indexOf(take)
      if (at >= 0) this.#waiting.splice(at, 1)
      // the place was given in the same moment: it is passed on
      else this.#leave()
      throw error
    }
  }

  #leave(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#free += 1
    else next()
  }
}
