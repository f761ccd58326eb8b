import type { Clock } from '@keyturn/core'

/** Time that stands until it is moved; what waits for it runs when it is reached. */
export class SetClock implements Clock {
  #now = Date.UTC(2026, 0, 1)
  #waiting: { readonly at: number; readonly run: () => void }[] = []

  now = () => new Date(this.#now)

  after(ms: number, run: () => void): () => void {
    const entry = { at: this.#now + ms, run }
    this.#waiting.push(entry)
    return () => (this.#waiting = this.#waiting.filter(each => each !== entry))
  }

  advance(ms: number): void {
    this.#now += ms
    const due = this.#waiting.filter(each => each.at <= this.#now)
    this.#waiting = this.#waiting.filter(each => each.at > this.#now)
    for (const each of due) each.run()
  }
}
