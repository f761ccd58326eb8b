import type { Examined, NamedFinding } from '@keyturn/broker'
import type { Config } from '@keyturn/config'
import { BrokerError, type ErrorCode } from '@keyturn/core'
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
  /** The store that was looked at. */
  readonly store: string | null
  readonly code: ErrorCode | null
}

/** The word for an error of a store. */
const names: Partial<Record<ErrorCode, string>> = {
  unavailable: 'unreachable',
  throttled: 'unreachable',
  outcome_unknown: 'unreachable',
  unauthenticated: 'denied',
  permission_denied: 'denied',
  not_found: 'absent',
  conflict: 'held by another process',
  corrupt: 'corrupt',
}

/** What the embedded store says of itself, which is no error of a call. */
const sayings: readonly (readonly [RegExp, string])[] = [
  [/^KEK .*not loaded/, 'KEK missing'],
  [/KEK \S+ is not loaded/, 'KEK missing'],
  [/readable by others/, 'data readable by others'],
  [/ is in use by /, 'held by another process'],
]

/** What the broker's own examination of stores found. */
export async function examineStores(
  terminal: Terminal,
  door: BrokerDoor,
  config: Config,
  only: { readonly store?: string; readonly secret?: string } = {},
): Promise<readonly NamedResult[]> {
  const { env, signal } = terminal
  try {
    return nameFindings(await door.examineStores(config, { ...only, env, signal }))
  } catch (error) {
    if (!(error instanceof BrokerError) || error.code === 'cancelled') throw error
    // without its keys not even a look at the stores is possible; that is a finding like others
    const { message: detail, hint = 'see what stands above', code } = error
    return [nameFinding({ ok: false, what: 'open them', detail, hint, code }, 'stores')]
  }
}

function nameFindings(examined: readonly Examined[]): readonly NamedResult[] {
  return examined.flatMap(({ store, kind, secret, findings }) =>
    findings.map(finding => nameFinding(finding, secret === null ? store : `${store}: ${secret}`, { store, kind })),
  )
}

export function nameFinding(finding: NamedFinding, about: string, at?: { readonly store: string; readonly kind: string }): NamedResult {
  const { ok, what, detail, hint, code } = finding
  return {
    ok,
    name: ok ? 'ok' : (finding.name ?? wordFor(finding, at?.kind)),
    about,
    what,
    detail: detail ?? null,
    hint: hint ?? null,
    store: at?.store ?? null,
    code: code ?? null,
  }
}

/** The kind stands in front where it tells more than "store": `vault unreachable`. */
function wordFor({ what, detail, code }: NamedFinding, kind: string | undefined): string {
  const said = sayings.find(([form]) => form.test(`${what} ${detail ?? ''}`))?.[1]
  const word = code === undefined ? undefined : names[code]
  return said ?? (word === 'unreachable' && kind !== undefined ? `${kind} unreachable` : word) ?? 'wrong'
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
