import type { RestorePlan, RestoreRow } from '@keyturn/broker'
import { type Column, printRows } from './print.ts'
import type { Terminal } from './terminal.ts'

const columns: readonly Column<RestoreRow>[] = [
  { title: 'NAME', of: row => row.name },
  { title: 'STORE', of: row => row.store },
  { title: 'ACTION', of: row => row.action },
  { title: 'VERSIONS', of: row => String(row.versions) },
  { title: 'WHY', of: row => row.why ?? '' },
]

/** What a restore tells: tables for a person, one JSON line for each thing with `json`. Names, paths and KEK ids, never a value. */
export class RestoreReport {
  readonly #terminal: Terminal
  readonly #json: boolean

  constructor(terminal: Terminal, json: boolean) {
    this.#terminal = terminal
    this.#json = json
  }

  /** What the drill showed. The rows are told as they come with `json`, else here. */
  plan(plan: RestorePlan, rows: readonly RestoreRow[]): void {
    if (this.#json) {
      this.#line({ event: 'drill', ...plan })
      return
    }
    if (rows.length > 0) printRows(this.#terminal, columns, rows)
    for (const line of linesOf(plan)) this.#terminal.err(`${line}\n`)
  }

  row(event: 'plan' | 'result' | 'verify', row: RestoreRow): void {
    if (this.#json) this.#line({ event, ...row })
  }

  /** What became of all: `results` by what was done, `wrong` what is not as the bundle has it now. */
  end(results: readonly RestoreRow[], wrong: readonly RestoreRow[], audits: readonly string[]): void {
    const count = (...actions: readonly RestoreRow['action'][]) => results.filter(({ action }) => actions.includes(action)).length
    const counts = {
      restored: results.filter(({ action, versions }) => versions > 0 && action !== 'failed').length,
      same: count('same'),
      different: results.filter(({ action, versions }) => action === 'different' && versions === 0).length,
      left: count('left'),
      failed: count('failed'),
    }
    if (this.#json) {
      this.#line({ event: 'end', ...counts, differs: wrong.length, audits })
      return
    }
    printRows(
      this.#terminal,
      columns,
      results.filter(({ action }) => action !== 'same'),
    )
    const parts = Object.entries(counts)
      .filter(([, of]) => of > 0)
      .map(([what, of]) => `${of} ${what}`)
    const read =
      wrong.length === 0
        ? 'read back as in the bundle'
        : `${wrong.length} not as in the bundle: ${wrong.map(({ name }) => name).join(', ')}`
    this.#terminal.err(`${parts.join(', ') || 'nothing to restore'}; ${read}; recorded in ${audits.join(' and ')}\n`)
  }

  #line(document: object): void {
    this.#terminal.out(`${JSON.stringify(document)}\n`)
  }
}

function linesOf(plan: RestorePlan): readonly string[] {
  const { id, created, versions, opened, destroyed, secrets, unreadable, damaged, damage, corrupt, unproven, changes, notes } = plan
  const gone = destroyed === 0 ? '' : `, ${destroyed} destroyed before`
  return [
    `${id} of ${created}: ${secrets} secrets, ${versions} versions, ${opened} open${gone}`,
    ...(unproven === null ? [] : [`not proven: ${unproven}`]),
    ...unreadable.map(
      ({ kek, fingerprint, versions: count, why }) =>
        `KEK ${kek} is needed for ${count} versions: ${why} (fingerprint ${fingerprint ?? 'unknown'})`,
    ),
    ...damage.map(({ line, why }) => `line ${line}: ${why}`),
    ...(damaged > damage.length ? [`and ${damaged - damage.length} more damaged lines`] : []),
    ...corrupt.map(
      ({ path, number }) => `version ${number} of ${path} does not open, and its KEK is right: it was damaged before the backup`,
    ),
    ...notes,
    ...(changes === null
      ? []
      : [
          `${changes.new} new, ${changes.behind} half there, ${changes.same} same, ${changes.different} different, ${changes.left} not current, ${changes.failed} failed`,
        ]),
  ]
}
