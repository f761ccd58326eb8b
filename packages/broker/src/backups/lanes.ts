/**
 * Runs several things at once, and lets whoever has more of them wait. One that weighs more takes the place of several. What fails first is thrown by
 * the next `run`, or by `drain`.
 */
export class Lanes {
  readonly #most: number
  readonly #running = new Set<Promise<void>>()
  #weight = 0
  #failed: { readonly error: unknown } | undefined

  constructor(most: number) {
    this.#most = most
  }

  /** Resolves when it has begun. */
  async run(act: () => Promise<void>, wish = 1): Promise<void> {
    const weight = Math.min(wish, this.#most)
    while (this.#weight + weight > this.#most) await Promise.race(this.#running)
    this.#check()
    this.#weight += weight
    const running: Promise<void> = act()
      .catch((error: unknown) => {
        this.#failed ??= { error }
      })
      .finally(() => {
        this.#weight -= weight
        this.#running.delete(running)
      })
    this.#running.add(running)
  }

  async drain(): Promise<void> {
    while (this.#running.size > 0) await Promise.race(this.#running)
    this.#check()
  }

  #check(): void {
    if (this.#failed !== undefined) throw this.#failed.error
  }
}
