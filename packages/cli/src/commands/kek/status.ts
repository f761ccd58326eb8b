import type { KekStatus } from '@keyturn/api'
import type { Command } from 'commander'
import { type BrokerOptions, brokerAdmin } from '../../broker-client.ts'
import { command, jsonOption, type Setting, tokenFileOption } from '../../command.ts'
import { type Column, linesOf, printJson, tableOf, visible } from '../../print.ts'
import type { Terminal } from '../../terminal.ts'

interface Options extends BrokerOptions {
  readonly json?: boolean
}

/** `kek status`: every KEK, what needs it, and whether it may go. */
export function status({ terminal }: Setting): Command {
  return command('status [options]', 'Shows every KEK, what still needs it, and whether it may be retired', [
    'kek status',
    "kek status --json | jq '.stale_counts'",
  ])
    .addOption(jsonOption())
    .addOption(tokenFileOption())
    .action(async (options: Options) => {
      const answer = await brokerAdmin(terminal, options).kekStatus()
      if (options.json === true) printJson(terminal, answer)
      else print(terminal, answer)
    })
}

type Row = readonly [string, KekStatus['keks'][string]]

function columnsOf({ loaded, current, safe_to_retire: safety }: KekStatus): readonly Column<Row>[] {
  return [
    { title: 'ID', of: ([id]) => id },
    { title: 'STATE', of: ([id, row]) => `${row.state}${id === current ? ' (current)' : ''}` },
    { title: 'AGE', of: ([, row]) => (row.age_days === null ? '-' : `${row.age_days}d`) },
    { title: 'HELD', of: ([id]) => (loaded.includes(id) ? 'yes' : 'no') },
    { title: 'NEEDED BY', of: ([, row]) => needsText(row.needs) },
    { title: 'SAFE TO RETIRE', of: ([id]) => safetyText(safety[id]) },
  ]
}

function needsText(needs: Readonly<Record<string, number>>): string {
  const told = Object.entries(needs).filter(([, count]) => count > 0)
  return told.map(([kind, count]) => `${count} ${kind}`).join(', ') || '-'
}

function safetyText(safety: { readonly safe: boolean; readonly reasons: readonly string[] } | undefined): string {
  if (safety === undefined) return '-'
  return safety.safe ? 'yes' : `no: ${safety.reasons.join('; ')}`
}

function print(terminal: Terminal, answer: KekStatus): void {
  const rows = Object.entries(answer.keks)
  const columns = columnsOf(answer)
  if (terminal.isTerminal.stdout) terminal.out(`${headOf(answer)}\n${tableOf(terminal, columns, rows)}`)
  else terminal.out(linesOf(columns, rows))
  for (const line of remarksOf(answer)) terminal.err(`${visible(line)}\n`)
}

function headOf({ current, wanted, promotion, instances, open_ops: open }: KekStatus): string {
  const next = wanted === current ? '' : ` · wanted ${wanted}`
  const brokers = `${instances.length} ${instances.length === 1 ? 'broker' : 'brokers'}`
  return visible(`current ${current}${next} · promotion ${promotion} · ${brokers} · ${open.length} open operations`)
}

/** What somebody has to know or do. */
function remarksOf(answer: KekStatus): readonly string[] {
  const { due, due_reasons: reasons, refusal, unreachable, stale_counts: stale, loaded, wanted, current, instances } = answer
  const lacking = instances.filter(instance => !instance.loaded.includes(wanted))
  return [
    ...(refusal === null ? [] : [`the keys as they are now are not taken up: ${refusal}`]),
    ...Object.entries(stale)
      .filter(([id, count]) => count > 0 && !loaded.includes(id))
      .map(([id, count]) => `KEK ${id} is not loaded here: ${count} values cannot be read until it is put back`),
    ...unreachable.map(({ part, detail }) => `${part} does not answer, and its rows are not counted: ${detail}`),
    ...(wanted === current ? [] : lacking.map(({ id }) => `broker ${id} does not hold ${wanted} yet`)),
    ...(due ? [`a new KEK is due: ${reasons.join('; ')}`] : []),
  ]
}
