import type { CopyPlan, CopyResult, CopyRow } from '@keyturn/broker'
import { type Column, linesOf, printRows, tableOf } from './print.ts'
import { ProgressBar } from './progress-bar.ts'
import type { Terminal } from './terminal.ts'

/** One secret at the end. */
interface Outcome {
  readonly name: string
  readonly from: string
  readonly to: string
  readonly result: string
  readonly version: string | null
  readonly verified: string
  readonly why: string | null
}

/** What a copy tells: tables for a person, one JSON line for each step with `json`. Names and paths, never a value. */
export class CopyReport {
  readonly #terminal: Terminal
  readonly #bar: ProgressBar
  readonly #about: { readonly from: string; readonly to: string; readonly json: boolean; readonly versions: boolean }

  constructor(
    terminal: Terminal,
    about: { readonly from: string; readonly to: string; readonly json: boolean; readonly versions: boolean },
  ) {
    this.#terminal = terminal
    this.#about = about
    this.#bar = new ProgressBar(terminal)
  }

  /** The plan is the result where nothing else follows; else it goes where a person reads it. */
  plan({ rows, notes }: CopyPlan, isResult: boolean): void {
    this.#bar.end()
    if (this.#about.json) {
      for (const row of rows) this.#line({ event: 'plan', ...row })
      for (const note of notes) this.#line({ event: 'note', note })
      return
    }
    const columns = this.#planColumns()
    if (isResult) this.#terminal.out(this.#terminal.isTerminal.stdout ? tableOf(this.#terminal, columns, rows) : linesOf(columns, rows))
    else this.#terminal.err(tableOf(this.#terminal, columns, rows))
    for (const note of notes) this.#terminal.err(`${note}\n`)
  }

  step(event: 'result' | 'verify', result: CopyResult, done: number, of: number): void {
    if (this.#about.json) this.#line({ event, ...result })
    else this.progress(event === 'verify' ? 'compared' : 'done', done, of)
  }

  pause(store: string, ms: number, code: string): void {
    this.#bar.end()
    const seconds = Math.ceil(ms / 1000)
    if (this.#about.json) this.#line({ event: 'pause', store, code, seconds })
    else this.#terminal.err(`${store} is ${code}: waiting ${seconds} s\n`)
  }

  progress(what: string, done: number, of: number): void {
    if (!this.#about.json) this.#bar.draw(`${what} ${done}/${of}`, done, of)
  }

  /** What became of each secret; `verified` null: nobody asked. */
  end(rows: readonly CopyRow[], results: readonly CopyResult[], verified: readonly CopyResult[] | null, audits: readonly string[]): void {
    this.#bar.end()
    const [done, compared] = [results, verified ?? []].map(all => new Map(all.map(result => [result.name, result])))
    const outcomes = rows.map(row => outcomeOf(row, done?.get(row.name), compared?.get(row.name)))
    const count = (result: string) => outcomes.filter(outcome => outcome.result === result).length
    const differs = outcomes.filter(outcome => outcome.verified === 'differs').length
    const untried = count('not reached')
    if (this.#about.json) {
      const counts = { copied: count('copied'), same: count('same'), absent: count('absent'), failed: count('failed'), untried }
      this.#line({ event: 'end', ...counts, ...(verified === null ? {} : { differs }), audits })
      return
    }
    printRows(this.#terminal, this.#endColumns(verified !== null), outcomes)
    const parts = ['copied', 'same', 'absent', 'failed', 'not reached']
      .filter(each => count(each) > 0)
      .map(each => `${count(each)} ${each}`)
    const all = [...parts, ...(differs > 0 ? [`${differs} differ`] : [])]
    this.#terminal.err(`${all.join(', ') || 'nothing to copy'}; recorded in ${audits.join(' and ')}\n`)
  }

  #planColumns(): readonly Column<CopyRow>[] {
    const { from, to, versions } = this.#about
    return [
      { title: 'NAME', of: row => row.name },
      { title: from.toUpperCase(), of: row => row.from },
      { title: to.toUpperCase(), of: row => row.to ?? '-' },
      { title: 'ACTION', of: row => row.action },
      ...(versions ? [{ title: 'VERSIONS', of: (row: CopyRow) => String(row.versions) }] : []),
      { title: 'WHY', of: row => row.why ?? '' },
    ]
  }

  #endColumns(isVerified: boolean): readonly Column<Outcome>[] {
    const { from, to } = this.#about
    return [
      { title: 'NAME', of: row => row.name },
      { title: from.toUpperCase(), of: row => row.from },
      { title: to.toUpperCase(), of: row => row.to },
      { title: 'RESULT', of: row => row.result },
      { title: 'VERSION', of: row => row.version ?? '-' },
      ...(isVerified ? [{ title: 'VERIFIED', of: (row: Outcome) => row.verified }] : []),
      { title: 'WHY', of: row => row.why ?? '' },
    ]
  }

  #line(document: object): void {
    this.#terminal.out(`${JSON.stringify(document)}\n`)
  }
}

function outcomeOf(row: CopyRow, result: CopyResult | undefined, compared: CopyResult | undefined): Outcome {
  const untried = row.action === 'absent' || row.action === 'failed' ? row.action : 'not reached'
  return {
    name: row.name,
    from: row.from,
    to: row.to ?? '-',
    result: result?.result ?? untried,
    version: result?.version ?? null,
    verified: compared === undefined ? '-' : compared.result === 'verified' ? 'yes' : compared.result,
    why: compared?.why ?? result?.why ?? row.why,
  }
}
