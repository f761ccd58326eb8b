import { setTimeout as pause } from 'node:timers/promises'
import type { RotationRow, RotationStatus } from '@keyturn/api'
import { BrokerError } from '@keyturn/core'
import type { Command } from 'commander'
import { type BrokerOptions, brokerClient } from '../broker-client.ts'
import { command, jsonOption, type Setting, tokenFileOption } from '../command.ts'
import { away, type Column, linesOf, printJson, screenOf, tableOf } from '../print.ts'
import type { Terminal } from '../terminal.ts'

interface Options extends BrokerOptions {
  readonly watch?: boolean
  readonly json?: boolean
}

const watchMs = 1000

/** `status [NAME]`: due, running, in grace, failed, next. */
export function status({ terminal }: Setting): Command {
  return command('status [NAME] [options]', 'Shows what is due, running, in grace or failed, and what comes next', [
    'status',
    'status payments/stripe',
    'status --watch',
    "status --json | jq '.counts'",
  ])
    .argument('[name]', 'a name or an id')
    .option('--watch', 'looks every second; on a pipe, a line for each change')
    .addOption(jsonOption())
    .addOption(tokenFileOption())
    .action(async (name: string | undefined, options: Options) => {
      const client = brokerClient(terminal, options)
      const look = async () => narrowed(await client.status(), name)
      if (options.watch === true) await watch(terminal, look, options)
      else print(terminal, await look(), options)
    })
}

function narrowed(status: RotationStatus, name: string | undefined): RotationStatus {
  if (name === undefined) return status
  const secrets = status.secrets.filter(row => row.name === name || row.secret_id === name)
  if (secrets.length > 0) return { ...status, secrets }
  throw new BrokerError('not_found', `${name} has no row here`, {
    hint: 'it is not rotated here, or you may not see it; keyturn list shows names',
  })
}

function columnsAt(now: Date): readonly Column<RotationRow>[] {
  return [
    { title: 'NAME', of: row => row.name },
    { title: 'STATE', of: row => (row.step === null ? row.state : `${row.state} (${row.step})`) },
    { title: 'VERSION', of: row => row.version ?? '-' },
    { title: 'PREVIOUS', of: row => row.previous ?? '-' },
    { title: 'GRACE ENDS', of: row => away(row.grace_until, now) },
    { title: 'NEXT ROTATION', of: row => away(row.next_try_at ?? row.next_rotation_at, now) },
    { title: 'ERROR', of: row => (row.error === null ? '' : `${row.error.code}: ${row.error.detail}`) },
  ]
}

function print(terminal: Terminal, status: RotationStatus, options: Options): void {
  if (options.json === true) {
    printJson(terminal, status)
    return
  }
  const now = new Date(status.now)
  if (terminal.isTerminal.stdout) terminal.out(`${summaryOf(status, now)}\n${tableOf(terminal, columnsAt(now), status.secrets)}`)
  else terminal.out(linesOf(columnsAt(now), status.secrets))
}

function summaryOf({ counts, next_scan_at }: RotationStatus, now: Date): string {
  const parts = Object.entries(counts).map(([state, count]) => `${count} ${state.replace('_', ' ')}`)
  return `${parts.join(' · ')} · next look ${away(next_scan_at, now)}`
}

async function watch(terminal: Terminal, look: () => Promise<RotationStatus>, options: Options): Promise<void> {
  const seen = new Map<string, string>()
  while (!terminal.signal.aborted) {
    const status = await look().catch((error: unknown) => {
      if (terminal.signal.aborted) return undefined
      throw error
    })
    if (status === undefined) return
    if (terminal.isTerminal.stdout && options.json !== true) {
      const now = new Date(status.now)
      terminal.out(`\u001b[H\u001b[2J${summaryOf(status, now)}\n${screenOf(terminal, columnsAt(now), status.secrets)}`)
    } else {
      printChanges(terminal, status, seen, options)
    }
    await pause(watchMs, undefined, { signal: terminal.signal }).catch(() => undefined)
  }
}

/** A line for each row that is not as it was. */
function printChanges(terminal: Terminal, status: RotationStatus, seen: Map<string, string>, options: Options): void {
  const changed = status.secrets.filter(row => seen.get(row.secret_id) !== JSON.stringify(row))
  for (const row of changed) seen.set(row.secret_id, JSON.stringify(row))
  if (options.json === true) for (const row of changed) terminal.out(`${JSON.stringify({ now: status.now, ...row })}\n`)
  else terminal.out(linesOf([{ title: 'NOW', of: () => status.now }, ...columnsAt(new Date(status.now))], changed))
}
