import type { Operation, SecretsOperation } from '@keyturn/api'
import type { KeyturnClient } from '@keyturn/client'
import { printCampaign } from './campaign-report.ts'
import { Exit, exit } from './exit.ts'
import { printJson, printRows, visible } from './print.ts'
import { ProgressBar } from './progress-bar.ts'
import type { Terminal } from './terminal.ts'

/**
 * Follows an operation to its end: a line on stderr for each change, a bar on a terminal, one JSON line on stdout with `json`. Ends with exit 0
 * when done, 7 when it waits for a person or a window, 1 when it failed.
 */
export async function followOperation(
  terminal: Terminal,
  client: KeyturnClient,
  operationId: string,
  options: { readonly json?: boolean },
): Promise<void> {
  let told = ''
  const bar = new ProgressBar(terminal)
  const tell = (operation: Operation) => {
    const now = JSON.stringify([operation.state, operation.done, operation.items])
    if (now === told) return
    told = now
    if (options.json === true) terminal.out(`${JSON.stringify(operation)}\n`)
    else if (terminal.isTerminal.stderr) bar.draw(progressOf(operation), finishedIn(operation), operation.total)
    else terminal.err(`${operation.op_id} ${progressOf(operation)}\n`)
  }
  const operation = await client.wait(operationId, { onProgress: tell })
  bar.end()
  if (options.json !== true) printOutcome(terminal, operation)
  const code = codeOf(operation)
  if (code !== exit.ok) throw new Exit(code)
}

/** What an operation has come to, row by row. */
export function printOutcome(terminal: Terminal, operation: Operation): void {
  if ('databases' in operation) {
    printCampaign(terminal, operation)
    return
  }
  printRows(
    terminal,
    [
      { title: 'NAME', of: item => item.name },
      { title: 'STATE', of: item => item.state ?? 'not started' },
      { title: 'VERSION', of: item => item.version ?? '-' },
      { title: 'DELIVERY', of: item => deliveryOf(item.delivery) },
      { title: 'REVOCATION', of: item => item.revocation ?? '-' },
      { title: 'REMARK', of: item => item.error?.detail ?? item.waiting_for ?? '' },
    ],
    operation.items,
  )
}

/** Says where a started operation can be looked at. */
export function printAccepted(
  terminal: Terminal,
  accepted: { readonly op_id: string; readonly status_url: string },
  json: boolean | undefined,
): void {
  if (json === true) printJson(terminal, accepted)
  else terminal.out(`${accepted.op_id}\n`)
}

function codeOf({ state }: Operation): number {
  if (state === 'done') return exit.ok
  return state === 'waiting' || state === 'needs_attention' ? exit.needsPerson : exit.failed
}

const finishedIn = ({ done, skipped, failed }: Operation) => done + skipped + failed

function progressOf(operation: Operation): string {
  const [item] = operation.items
  const where =
    operation.items.length === 1 && item !== undefined ? `${visible(item.name)}: ${item.state ?? operation.state}` : operation.state
  return `${finishedIn(operation)}/${operation.total} ${where}`
}

function deliveryOf(delivery: SecretsOperation['items'][number]['delivery']): string {
  if (delivery === null || typeof delivery === 'string') return delivery ?? '-'
  return `${delivery.reached} of ${delivery.of}`
}
