import type { Examined, NamedFinding } from '@keyturn/broker'
import type { Config } from '@keyturn/config'
import type { ErrorCode } from '@keyturn/core'
import type { BrokerDoor } from './broker-door.ts'
import { printRows } from './print.ts'
import type { Terminal } from './terminal.ts'

/** One result of `check --online` or `doctor`. */
export interface NamedResult {
  readonly ok: boolean
  /** The one word for what is wrong; `ok` where nothing is. */
  readonly name: string
  /** What was looked at. */
  readonly about: string
  readonly what: string
  readonly detail: string | null
  readonly hint: string | null
}

/** The word for an error of a store. The kind stands in front where it tells more than "store". */
const names: Partial<Record<ErrorCode, string>> = {
  unavailable: 'unreachable',
  throttled: 'unreachable',
  outcome_unknown: 'unreachable',
  unauthenticated: 'denied',
  permission_denied: 'denied',
  not_found: 'absent',
  corrupt: 'corrupt',
}

/** What the broker's own examination of stores found. */
export async function examineStores(
  terminal: Terminal,
  door: BrokerDoor,
  config: Config,
  only: { readonly store?: string; readonly secret?: string } = {},
): Promise<readonly NamedResult[]> {
  const { env, signal } = terminal
  return nameFindings(await door.examineStores(config, { ...only, env, signal }))
}

function nameFindings(examined: readonly Examined[]): readonly NamedResult[] {
  return examined.flatMap(({ store, kind, secret, findings }) =>
    findings.map(finding => nameFinding(finding, secret === null ? store : `${store}: ${secret}`, kind)),
  )
}

export function nameFinding(finding: NamedFinding, about: string, kind?: string): NamedResult {
  const word = finding.code === undefined ? undefined : names[finding.code]
  const named = word === 'unreachable' && kind !== undefined ? `${kind} unreachable` : word
  return {
    ok: finding.ok,
    name: finding.ok ? 'ok' : (finding.name ?? named ?? 'wrong'),
    about,
    what: finding.what,
    detail: finding.detail ?? null,
    hint: finding.hint ?? null,
  }
}

/** What is wrong stands last, where a person looks. */
export function printFindings(terminal: Terminal, findings: readonly NamedResult[]): void {
  printRows(
    terminal,
    [
      { title: 'FOUND', of: row => row.name },
      { title: 'ABOUT', of: row => row.about },
      { title: 'WHAT', of: row => (row.detail === null ? row.what : `${row.what}: ${row.detail}`) },
      { title: 'DO', of: row => row.hint ?? '' },
    ],
    [...findings].sort((a, b) => Number(b.ok) - Number(a.ok)),
  )
}
