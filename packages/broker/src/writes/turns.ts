/** Lets one act at a time happen for each key, in the order of asking. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>()

  async run<T>(key: string, act: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve()
    const mine = before.then(act, act)
    // the next one waits for the end, not for the success
    const end = mine.catch(() => undefined)
    this.#last.set(key, end)
    try {
      return await mine
    } finally {
      if (this.#last.get(key) === end) this.#last.delete(key)
    }
  }
}
