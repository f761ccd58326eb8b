/** Runs several things at once, and lets whoever has more of them wait. What fails first is thrown by the next `run`, or by `drain`. */
export class Lanes {
  readonly #most: number
  readonly #running = new Set<Promise<void>>()
  #failed: { readonly error: unknown } | undefined

  constructor(most: number) {
    this.#most = most
  }

  async run(act: () => Promise<void>): Promise<void> {
    while (this.#running.size >= this.#most) await Promise.race(this.#running)
    this.#check()
    const running: Promise<void> = act()
      .catch((error: unknown) => {
        this.#failed ??= { error }
      })
      .finally(() => this.#running.delete(running))
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
