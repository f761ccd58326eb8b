import { setImmediate as turn } from 'node:timers/promises'

/** The longest piece of work of one turn of the event loop. */
const pieceMs = 1
/** A turn longer than this had others at work. */
const busyMs = 1
/** What others get at most for each piece, in turns that are not cut short: a fifth of a busy process stays with the work. */
const othersMs = 4

let last: Promise<unknown> = Promise.resolve()

/** A turn after which nobody else who waits for one goes on: lanes side by side would all have their piece in the same turn. */
function turnOfOne(): Promise<unknown> {
  last = last.then(() => turn())
  return last
}

/**
 * Long work in pieces between which everybody else gets on: after each piece the event loop turns, and turns again as long as others have much to do
 * in it. However busy they are, the work goes on.
 */
export class Breather {
  readonly #nowMs: () => number
  readonly #turn: () => Promise<unknown>
  #sinceMs: number

  constructor(nowMs: () => number = () => performance.now(), turns: () => Promise<unknown> = turnOfOne) {
    this.#nowMs = nowMs
    this.#turn = turns
    this.#sinceMs = nowMs()
  }

  /** Whether this piece was long enough: then `breathe`. */
  get due(): boolean {
    return this.#nowMs() - this.#sinceMs >= pieceMs
  }

  /** Gives way; a new piece begins when it resolves. */
  async breathe(): Promise<void> {
    const begunMs = this.#nowMs()
    for (let beforeMs = begunMs; ; ) {
      await this.#turn()
      const nowMs = this.#nowMs()
      if (nowMs - beforeMs < busyMs || nowMs - begunMs >= othersMs) break
      beforeMs = nowMs
    }
    this.#sinceMs = this.#nowMs()
  }
}
