import { BrokerError, type EnvelopeRow, type Pass, type PassOutcome } from '@keyturn/core'
import type { EnvelopeSealer } from '@keyturn/envelope'
import { Breather } from './breather.ts'

/** More than all the lanes of a process, and its writers, use in one turn of the event loop. */
const wrapsOfTurn = 1_024

/** What opens and closes the rows of one database. */
export type RowSealer = Pick<EnvelopeSealer, 'rewrapped' | 'reseal' | 'proves'>

/** What a pass works with in one database. */
export interface Sealing {
  readonly sealer: RowSealer
  /** Whether a KEK is loaded. */
  holds(kekId: string): boolean
  /** Reserves uses of a KEK; resolves when so many may be taken. */
  ready(kekId: string, count: number): Promise<void>
}

/** A row that could not be opened, and why. */
export interface Unopened {
  readonly row: EnvelopeRow
  readonly error: BrokerError
}

/** What became of one page of rows. */
export interface Page {
  readonly outcomes: readonly PassOutcome[]
  readonly unopened: readonly Unopened[]
}

/**
 * What a pass makes of a page. A row that is damaged, or whose KEK is not loaded, becomes a failure of its own; what would befall every row (the KEK that
 * it leads to is missing, or used up) is thrown, and nothing of the page is changed.
 */
export async function outcomesOf(pass: Pass, sealing: Sealing, rows: readonly EnvelopeRow[]): Promise<Page> {
  const act = actOf(pass, sealing)
  const reserve = async () => {
    if (pass.kekId !== null) await sealing.ready(pass.kekId, wrapsOfTurn)
  }
  await reserve()
  const outcomes: PassOutcome[] = []
  const unopened: Unopened[] = []
  const breather = new Breather()
  for (const row of rows) {
    try {
      outcomes.push(act(row))
    } catch (error) {
      if (!isOfRow(error, row, sealing)) throw error
      outcomes.push({ code: error.code, message: error.message })
      unopened.push({ row, error })
    }
    if (!breather.due) continue
    await breather.breathe()
    await reserve()
  }
  return { outcomes, unopened }
}

function actOf({ kind, kekId }: Pass, { sealer, holds }: Sealing): (row: EnvelopeRow) => PassOutcome {
  if (kind === 'scrub') {
    return ({ slot, sealed }) => {
      sealer.proves(slot, sealed)
      return 'kept'
    }
  }
  if (kekId === null) throw new BrokerError('internal', `a pass of kind ${kind} leads to no KEK`)
  if (!holds(kekId)) {
    throw new BrokerError('unavailable', `KEK ${kekId} is not loaded`, {
      hint: `load KEK ${kekId}: what is sealed is to be closed under it`,
      detail: { kekId },
    })
  }
  if (kind === 'reencrypt') return ({ slot, sealed }) => sealer.reseal(slot, sealed, kekId)
  return ({ slot, sealed }) => sealer.rewrapped(slot, sealed, kekId)
}

/** Whether it is this row that cannot be opened. */
function isOfRow(error: unknown, { sealed }: EnvelopeRow, { holds }: Sealing): error is BrokerError {
  if (!(error instanceof BrokerError)) return false
  return error.code === 'corrupt' || (error.detail?.kekId === sealed.kekId && !holds(sealed.kekId))
}
