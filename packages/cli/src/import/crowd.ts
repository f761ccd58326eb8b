/** Work on the lines of a stream, so much at a time. What has the same key goes one after another, in order. */
export class Crowd {
  readonly #most: number
  readonly #running = new Set<Promise<void>>()
  readonly #byKey = new Map<string, Promise<void>>()
  /** The lines that are not done with, in order. */
  readonly #open = new Map<symbol, number>()
  #last = 0
  /** What ended everything: set by the first work that threw. */
  broken: unknown

  constructor(most: number) {
    this.#most = most
  }

  /** Every line before this one is done with. */
  get firstOpen(): number {
    const [first] = this.#open.values()
    return first ?? this.#last + 1
  }

  /** Resolves when there was a place for it. After something was broken nothing is begun any more. */
  async add(line: number, key: string, work: () => Promise<void>): Promise<void> {
    const id = Symbol(key)
    this.#last = line
    this.#open.set(id, line)
    while (this.#running.size >= this.#most) await Promise.race(this.#running)
    if (this.broken !== undefined) return
    const run = this.#after(this.#byKey.get(key), async () => {
      await work()
      this.#open.delete(id)
    }).finally(() => {
      this.#running.delete(run)
      if (this.#byKey.get(key) === run) this.#byKey.delete(key)
    })
    this.#running.add(run)
    this.#byKey.set(key, run)
  }

  async done(): Promise<void> {
    await Promise.all(this.#running)
  }

  async #after(before: Promise<void> | undefined, work: () => Promise<void>): Promise<void> {
    await before
    if (this.broken !== undefined) return
    try {
      await work()
    } catch (error) {
      this.broken ??= error
    }
  }
}
