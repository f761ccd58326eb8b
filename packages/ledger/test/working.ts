/**
 * A broker's worker, without an engine: it takes rotations from a ledger on PostgreSQL and moves each through its states, one
 * record a state, and reports what was acknowledged as JSON lines on stdout. It gives up when its stdin ends.
 *
 * Usage: node --conditions=@keyturn/source working.ts URL HOLDER LEASE_MS STEP_MS
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { writeSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { BrokerError, type Lease, type Rotation } from '@keyturn/core'
import { openLedger } from '../src/open.ts'

const steps: Readonly<Partial<Record<Rotation['state'], Rotation['state']>>> = {
  queued: 'preflight',
  preflight: 'backed-up',
  'backed-up': 'generated',
  generated: 'staged',
  staged: 'done',
}

const [url = '', holder = '', leaseMs = '', stepMs = ''] = process.argv.slice(2)
const random = { bytes: (count: number) => randomBytes(count), uuid: () => randomUUID() }
const ledger = await openLedger({ url, data: '', clock: { now: () => new Date(), after: () => () => {} }, random })
const say = (line: object) => writeSync(1, `${JSON.stringify({ holder, ...line })}\n`)
let going = true
process.stdin.once('close', () => {
  going = false
})
process.stdin.resume()
say({ ready: true })

async function takeOne(): Promise<boolean> {
  const lease = await ledger.journal.claim({ holder, leaseMs: Number(leaseMs) })
  if (lease === null) return false
  const { id, epoch } = lease.rotation
  say({ claimed: id, epoch, abandoned: lease.abandoned })
  await move(lease)
  return true
}

async function move(claimed: Lease): Promise<void> {
  let lease = claimed
  for (;;) {
    const { id, epoch } = lease.rotation
    const state = steps[lease.rotation.state]
    if (state === undefined) return
    await pause(Number(stepMs))
    const event = { action: state, outcome: 'allowed', version: holder, code: null } as const
    lease = await ledger.journal.record(lease, { rotation: { state }, events: [event] })
    say({ recorded: id, epoch, state })
  }
}

while (going) {
  try {
    if (!(await takeOne())) await pause(20)
  } catch (error) {
    // the server is away, or the lease is: look again
    if (!(error instanceof BrokerError) || error.code === 'internal') throw error
    say({ failed: error.code })
    await pause(50)
  }
}
await ledger.close()
