import { setTimeout as pause } from 'node:timers/promises'
import type { Accepted, RotationPlan } from '@keyturn/api'
import type { KeyturnClient, RotateOptions, Selector } from '@keyturn/client'
import { BrokerError } from '@keyturn/core'
import type { Command } from 'commander'
import { type BrokerOptions, brokerClient } from '../broker-client.ts'
import { command, gather, jsonOption, type Setting, tokenFileOption } from '../command.ts'
import { Exit, exit, wrongUse } from '../exit.ts'
import { followOperation, printAccepted } from '../operation-report.ts'
import { type Column, linesOf, printJson, tableOf } from '../print.ts'
import type { Terminal } from '../terminal.ts'

interface Options extends BrokerOptions {
  readonly all?: boolean
  readonly group?: string
  readonly type?: readonly string[]
  readonly label?: readonly string[]
  readonly readBy?: string
  readonly plan?: boolean
  readonly wait?: boolean
  readonly reason?: string
  readonly compromise?: boolean
  readonly yes?: boolean
  readonly json?: boolean
}

/** `rotate NAME...` or a selector. */
export function rotate({ terminal }: Setting): Command {
  return command('rotate [NAME...] [options]', 'Rotates secrets now; a selector shows its plan first', [
    'rotate payments/stripe --wait',
    'rotate --type api-key --plan',
    'rotate --group symmetric --wait --reason "yearly drill"',
    'rotate payments/stripe --compromise --reason "key in a public log"',
    'rotate --read-by token:contractor --reason offboarding',
  ])
    .argument('[name...]')
    .option('--all', 'every secret that is rotated here')
    .option('--group <group>', 'a group of the config')
    .option('--type <type>', 'a type; may be given again', gather)
    .option('--label <key=value>', 'a label; may be given again: all must hold', gather)
    .option('--read-by <principal>', 'what this principal has read')
    .option('--plan', 'only says what would happen')
    .option('--wait', 'ends when promoted and published: exit 0; waiting for a person or a window: 7; failed: 1')
    .option('--reason <text>', 'for the record')
    .option('--compromise', 'the value leaked: ends a running grace first')
    .option('--yes', 'does not ask on a terminal')
    .addOption(jsonOption())
    .addOption(tokenFileOption())
    .action(async (names: readonly string[], options: Options) => {
      const selector = selectorOf(names, options)
      const client = brokerClient(terminal, options)
      const how: RotateOptions = {
        ...(options.reason === undefined ? {} : { reason: options.reason }),
        ...(options.compromise === true ? { mode: 'compromise' } : {}),
      }
      if (options.plan === true) {
        const plan = await client.plan(selector, how)
        if (options.json === true) printJson(terminal, { plan })
        else terminal.out(terminal.isTerminal.stdout ? tableOf(terminal, planColumns, plan) : linesOf(planColumns, plan))
        return
      }
      if (!('names' in selector)) await showPlan(terminal, await client.plan(selector, how), options)
      const accepted = await started(terminal, client, selector, how, options)
      if (options.wait === true) await followOperation(terminal, client, accepted.op_id, options)
      else printAccepted(terminal, accepted, options.json)
    })
}

function selectorOf(names: readonly string[], options: Options): Selector {
  const given: Selector[] = [
    ...(names.length === 0 ? [] : [{ names }]),
    ...(options.all === true ? [{ all: true } as const] : []),
    ...(options.group === undefined ? [] : [{ group: options.group }]),
    ...(options.type === undefined ? [] : [{ types: options.type }]),
    ...(options.label === undefined ? [] : [{ labels: labelsOf(options.label) }]),
    ...(options.readBy === undefined ? [] : [{ read_by: options.readBy }]),
  ]
  const [selector] = given
  if (selector !== undefined && given.length === 1) return selector
  const what = given.length === 0 ? 'nothing is named' : 'too much is named at once'
  throw wrongUse(what, 'give names, or one of --all --group --type --label --read-by')
}

function labelsOf(labels: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    labels.map(label => {
      const [, key, value] = /^([^=]+)=(.*)$/.exec(label) ?? []
      if (key === undefined || value === undefined) throw wrongUse(`${label} is no label`, 'write it as tier=gold')
      return [key, value]
    }),
  )
}

type PlanRow = RotationPlan['plan'][number]

const planColumns: readonly Column<PlanRow>[] = [
  { title: 'NAME', of: row => row.name },
  { title: 'TYPE', of: row => row.type },
  { title: 'STRATEGY', of: row => row.strategy ?? '-' },
  { title: 'VERDICT', of: row => row.verdict },
  { title: 'NOT BEFORE', of: row => row.not_before ?? '-' },
  { title: 'WHY', of: row => row.why ?? '' },
]

async function showPlan(terminal: Terminal, plan: readonly PlanRow[], options: Options): Promise<void> {
  if (plan.length === 0) throw new BrokerError('not_found', 'nothing is selected', { hint: 'keyturn list shows types and labels' })
  // stdout is for the result
  terminal.err(tableOf(terminal, planColumns, plan))
  const count = plan.filter(row => row.verdict !== 'refuse').length
  // an operation of refusals alone would look like one that was started
  if (count === 0) {
    throw new BrokerError('precondition_failed', 'none of these can be rotated now; nothing was started', { hint: 'the plan says why' })
  }
  if (!terminal.isTerminal.stdin || options.yes === true) return
  if (!(await terminal.confirm(`Rotate ${count} of ${plan.length}?`))) throw new Exit(exit.failed)
}

async function started(
  terminal: Terminal,
  client: KeyturnClient,
  selector: Selector,
  how: RotateOptions,
  options: Options,
): Promise<Accepted> {
  const [only] = 'names' in selector && selector.names.length === 1 ? selector.names : []
  if (only === undefined) return client.startRotations(selector, how)
  for (;;) {
    try {
      return await client.startRotation(only, how)
    } catch (error) {
      const isInGrace = error instanceof BrokerError && error.code === 'conflict' && error.retryAfterMs !== undefined
      if (!isInGrace || options.wait !== true) throw error
      terminal.err(`${error.message}; waiting ${Math.ceil((error.retryAfterMs ?? 0) / 1000)} s\n`)
      await pause(error.retryAfterMs, undefined, { signal: terminal.signal }).catch(() => {
        throw new BrokerError('cancelled', 'stopped waiting; nothing was started')
      })
    }
  }
}
