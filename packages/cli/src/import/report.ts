import type { BrokerError } from '@keyturn/core'
import { visible } from '../print.ts'
import { ProgressBar } from '../progress-bar.ts'
import type { Terminal } from '../terminal.ts'
import type { Outcome } from './importer.ts'
import type { Spot } from './part.ts'

const drawEveryMs = 100
/** Failures that a person is shown one by one; a program gets every one. */
const shownMax = 1000

/** What an import has come to. Names and lines, never a value. */
export class ImportReport {
  readonly #terminal: Terminal
  readonly #json: boolean
  readonly #bar: ProgressBar
  readonly counts: Record<Outcome | 'conflicts' | 'failed' | 'unread', number> = {
    written: 0,
    same: 0,
    skipped: 0,
    conflicts: 0,
    failed: 0,
    unread: 0,
  }
  #drawnAt = 0
  #shown = 0

  constructor(terminal: Terminal, options: { readonly json: boolean }) {
    this.#terminal = terminal
    this.#json = options.json
    this.#bar = new ProgressBar(terminal)
  }

  get isClean(): boolean {
    return this.counts.conflicts + this.counts.failed + this.counts.unread === 0
  }

  settled(spot: Spot, name: string, result: Outcome): void {
    this.counts[result] += 1
    if (this.#json) this.#line({ event: 'result', ...spot, name, result })
    this.#draw()
  }

  failed(spot: Spot, name: string, error: BrokerError): void {
    const isConflict = error.code === 'conflict'
    this.counts[isConflict ? 'conflicts' : 'failed'] += 1
    const { code, message, hint = null } = error
    if (this.#json) this.#line({ event: 'result', ...spot, name, result: isConflict ? 'conflict' : 'failed', code, message, hint })
    else this.#complain(spot, message.includes(name) ? message : `${name}: ${message}`, hint)
  }

  /** A line that holds no entry: neither its name nor its value is told, since nobody knows which is which. */
  unread(spot: Spot, fault: string): void {
    this.counts.unread += 1
    if (this.#json) this.#line({ event: 'result', ...spot, result: 'unread', message: fault })
    else this.#complain(spot, fault, null)
  }

  /** The end: everything that was read is counted. */
  end(dryRun: boolean): void {
    this.#bar.end()
    if (this.#json) {
      this.#line({ event: 'end', dry_run: dryRun, ...this.counts })
      return
    }
    if (this.#shown > shownMax) this.#terminal.err(`and ${this.#shown - shownMax} more; --json has every one\n`)
    this.#terminal.out(`${this.#summary(dryRun)}\n`)
  }

  #summary(dryRun: boolean): string {
    const { written, same, skipped, conflicts, failed, unread } = this.counts
    const parts: readonly (readonly [number, string])[] = [
      [same, 'there already with the same value'],
      [skipped, 'there already, not looked at'],
      [conflicts, conflicts === 1 ? 'conflict' : 'conflicts'],
      [failed, 'failed'],
      [unread, unread === 1 ? 'line that is no entry' : 'lines that are no entries'],
    ]
    const told = parts.filter(([count]) => count > 0).map(([count, words]) => `${count} ${words}`)
    return [`${written} ${dryRun ? 'to be written' : 'written'}`, ...told].join(', ')
  }

  #complain({ line, item }: Spot, why: string, hint: string | null): void {
    this.#shown += 1
    if (this.#shown > shownMax) return
    this.#bar.end()
    this.#terminal.err(
      `line ${line}${item === undefined ? '' : `, item ${item}`}: ${visible(why)}${hint === null ? '' : ` (${visible(hint)})`}\n`,
    )
  }

  #draw(): void {
    const now = performance.now()
    if (now - this.#drawnAt < drawEveryMs) return
    this.#drawnAt = now
    this.#bar.draw(this.#summary(false), 0, null)
  }

  #line(document: object): void {
    this.#terminal.out(`${JSON.stringify(document)}\n`)
  }
}
