import { orAbort } from '@keyturn/core'

/** Work on one thing, one after the other, each waited for no longer than its own signal lets. */
export class Turns {
  readonly #last = new Map<string, Promise<void>>()

  async take<T>(thing: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(thing)
    const mine = Promise.withResolvers<void>()
    const last = (before ?? Promise.resolve()).then(() => mine.promise)
    this.#last.set(thing, last)
    try {
      if (before !== undefined) await orAbort(before, signal)
      return await work()
    } finally {
      mine.resolve()
      if (this.#last.get(thing) === last) this.#last.delete(thing)
    }
  }
}
