import type { Terminal } from './terminal.ts'

const width = 24

/** One line of progress on stderr, drawn over again and again; nothing where stderr is no terminal. */
export class ProgressBar {
  readonly #terminal: Pick<Terminal, 'err' | 'isTerminal' | 'columns'>
  #isDrawn = false

  constructor(terminal: Pick<Terminal, 'err' | 'isTerminal' | 'columns'>) {
    this.#terminal = terminal
  }

  /** `of` null: nobody knows how much there is, so there are words and no bar. */
  draw(words: string, done: number, of: number | null): void {
    if (!this.#terminal.isTerminal.stderr) return
    const filled = of === null ? 0 : Math.round((width * Math.min(done, of)) / Math.max(1, of))
    const line = of === null ? words : `${'█'.repeat(filled)}${'░'.repeat(width - filled)} ${words}`
    this.#isDrawn = true
    // a line that wraps could not be drawn over
    this.#terminal.err(`\r\u001b[2K${line.slice(0, this.#terminal.columns - 1)}`)
  }

  /** Leaves the last state on the screen; what is written next begins on a line of its own. */
  end(): void {
    if (this.#isDrawn) this.#terminal.err('\n')
    this.#isDrawn = false
  }
}
