import type { Readiness } from '@keyturn/api'
import type { NamedFinding } from '@keyturn/broker'
import { BrokerAdmin, KeyturnClient } from '@keyturn/client'
import type { Config } from '@keyturn/config'
import { BrokerError } from '@keyturn/core'
import type { BrokerOptions } from './broker-client.ts'
import type { Terminal } from './terminal.ts'

/** The broker that runs on a config, as seen from its own machine. */
export interface RunningBroker {
  readonly client: KeyturnClient
  readonly admin: BrokerAdmin
  readonly readiness: Readiness
}

/** Undefined when no broker answers at `KEYTURN_ADDR` or, where that is not set, where this config says that it listens. */
export async function findRunning(terminal: Terminal, config: Config, options: BrokerOptions): Promise<RunningBroker | undefined> {
  const { host, port } = config.broker.listen
  const isEverywhere = host === '0.0.0.0' || host === '::'
  const reachable = isEverywhere ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host
  const { KEYTURN_TOKEN: token, KEYTURN_ADDR: address = `http://${reachable}:${port}` } = terminal.env
  const connection = {
    address,
    timeoutMs: 3000,
    signal: terminal.signal,
    ...(options.tokenFile === undefined ? {} : { tokenFile: options.tokenFile }),
    ...(options.tokenFile !== undefined || token === undefined ? {} : { token }),
  }
  const client = new KeyturnClient(connection)
  try {
    return { client, admin: new BrokerAdmin(connection), readiness: await client.readiness() }
  } catch (error) {
    if (error instanceof BrokerError && error.code !== 'cancelled') return undefined
    throw error
  }
}

/** What a running broker says of itself. */
export function readinessFindings({ checks }: Readiness): readonly NamedFinding[] {
  return Object.entries(checks).map(([what, state]) => ({
    ok: state === 'ok',
    what,
    detail: `the running broker says: ${state}`,
    ...(state === 'ok' ? {} : words[what]),
  }))
}

const words: Readonly<Record<string, { readonly name: string; readonly hint: string }>> = {
  kek: { name: 'KEK missing', hint: 'put the current KEK back where broker.keys says' },
  audit: { name: 'audit not writable', hint: 'see to the disk of the audit file: nothing is answered that cannot be recorded' },
  ledger: { name: 'ledger unavailable', hint: 'see the log of the broker' },
  config: { name: 'config invalid', hint: 'run keyturn check' },
}

/** What a running broker knows of KEKs and of damage, which no look from outside finds. It tells that to an admin alone; whoever is none is told so. */
export async function findingsOfKeks({ admin }: Pick<RunningBroker, 'admin'>): Promise<readonly NamedFinding[]> {
  const what = 'KEKs and stored values'
  try {
    const { findings } = await admin.kekStatus()
    if (findings.length === 0) return [{ ok: true, what, detail: 'the running broker says: ok' }]
    return findings.map(({ ok, what, name, detail, hint }) => ({
      ok,
      what,
      ...(name === undefined ? {} : { name }),
      ...(detail === undefined ? {} : { detail }),
      ...(hint === undefined ? {} : { hint }),
    }))
  } catch (error) {
    if (!(error instanceof BrokerError) || error.code === 'cancelled') throw error
    const { code, message } = error
    const hint = 'ask with the token of an admin: KEYTURN_TOKEN or --token-file'
    if (code === 'unauthenticated' || code === 'permission_denied') return [{ ok: true, what, detail: `not asked: ${message}`, hint }]
    return [{ ok: false, what, detail: message, hint: error.hint ?? 'see the log of the broker', code }]
  }
}

/** Looks at a secret through the running broker, because that alone can open its store. Its versions show whether it is there, and no value. */
export async function askRunning({ client }: RunningBroker, name: string): Promise<NamedFinding> {
  const what = 'asked of the running broker'
  try {
    const { versions } = await client.versions(name)
    return { ok: true, what, detail: `it has ${versions.length} ${versions.length === 1 ? 'version' : 'versions'}` }
  } catch (error) {
    if (!(error instanceof BrokerError) || error.code === 'cancelled') throw error
    const hint =
      error.code === 'unauthenticated'
        ? 'set KEYTURN_TOKEN or --token-file, so that the broker can be asked'
        : (error.hint ?? hints[error.code])
    return { ok: false, what, detail: error.message, ...(hint === undefined ? {} : { hint }), code: error.code }
  }
}

const hints: Readonly<Record<string, string>> = {
  not_found: 'write it, or correct the name',
  permission_denied: 'ask with a token whose role has read-metadata',
}
