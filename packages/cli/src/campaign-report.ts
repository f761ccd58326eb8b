import type { Campaign } from '@keyturn/api'
import type { BrokerAdmin } from '@keyturn/client'
import { exit } from './exit.ts'
import { printRows } from './print.ts'
import { ProgressBar } from './progress-bar.ts'
import type { Terminal } from './terminal.ts'

/** Where nobody sits, a line for each state and one in so many milliseconds. */
const lineEveryMs = 5000

/**
 * Follows a campaign until it no longer runs: a bar on stderr where that is a terminal, lines elsewhere, one JSON line on stdout for each change with
 * `json`. To wait for a KEK to become current ends it too.
 */
export async function followCampaign(
  terminal: Terminal,
  admin: Pick<BrokerAdmin, 'follow'>,
  operationId: string,
  { json }: { readonly json: boolean },
): Promise<Campaign> {
  const bar = new ProgressBar(terminal)
  let told = ''
  let line = { state: '', at: 0 }
  let note: string | null = null
  const campaign = await admin.follow(operationId, {
    onProgress(now) {
      const text = JSON.stringify(now)
      if (json && text !== told) terminal.out(`${text}\n`)
      told = text
      if (json) return
      // what keeps it from going on is a person's to see, however long the bar stands
      if (now.note !== null && now.note !== note && now.finished === null) {
        bar.end()
        terminal.err(`${now.note}\n`)
      }
      note = now.note
      bar.draw(wordsOf(now), doneIn(now), now.total)
      if (terminal.isTerminal.stderr || (line.state === now.state && performance.now() - line.at < lineEveryMs)) return
      line = { state: now.state, at: performance.now() }
      terminal.err(`${now.op_id} ${wordsOf(now)}\n`)
    },
  })
  bar.end()
  return campaign
}

/** What a campaign has come to, database by database, and what could not be opened. */
export function printCampaign(terminal: Terminal, campaign: Campaign): void {
  printRows(
    terminal,
    [
      { title: 'DATABASE', of: row => row.name },
      { title: 'STATE', of: row => row.state },
      { title: 'TOTAL', of: row => String(row.total) },
      { title: 'DONE', of: row => String(row.done) },
      { title: 'SKIPPED', of: row => String(row.skipped) },
      { title: 'FAILED', of: row => String(row.failed) },
    ],
    campaign.databases,
  )
  if (campaign.note !== null) terminal.err(`${campaign.note}\n`)
  for (const { database, secret, version, kek, code, detail } of campaign.failures) {
    terminal.err(`${database}: ${secret}, version ${version}, under KEK ${kek}: ${detail ?? code}\n`)
  }
  const untold = campaign.failed - campaign.failures.length
  if (untold > 0) terminal.err(`and ${untold} more that could not be opened\n`)
}

/** Done: 0; waiting for a KEK to become current: 7; else 1. */
export function codeOfCampaign({ state }: Campaign): number {
  if (state === 'done') return exit.ok
  return state === 'waiting' ? exit.needsPerson : exit.failed
}

const doneIn = ({ done, skipped, failed }: Campaign) => done + skipped + failed

function wordsOf(campaign: Campaign): string {
  const { state, waiting_for: waitsFor, total, skipped, failed } = campaign
  const odd = [...(skipped > 0 ? [`${skipped} skipped`] : []), ...(failed > 0 ? [`${failed} failed`] : [])]
  const now = waitsFor === null ? state : `waiting for ${waitsFor === 'kek' ? 'its KEK' : 'its backup'}`
  return [`${doneIn(campaign)}/${total} ${now}`, ...odd].join(', ')
}
