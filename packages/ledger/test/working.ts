/**
 * A broker's worker, without an engine: it opens a rotation for what is due, takes rotations from a ledger on PostgreSQL and moves each through
 * its states, one record a state, to a new version, and reports what was acknowledged as JSON lines on stdout. It gives up when its stdin ends.
 *
 * Usage: node --conditions=@keyturn/source working.ts URL HOLDER LEASE_MS STEP_MS
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { writeSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { BrokerError, type Lease, type Rotation, type VersionId, type VersionPatch } from '@keyturn/core'
import { request } from '../src/contract/subject.ts'
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
    const versions = await versionsOf(lease, state)
    const nextRotationAt = state === 'done' ? { nextRotationAt: null } : {}
    lease = await ledger.journal.record(lease, { rotation: { state }, versions, events: [event], ...nextRotationAt })
    say({ recorded: id, epoch, state })
  }
}

/** A number before the value, and at the end the version that a store would have made. */
async function versionsOf(lease: Lease, state: Rotation['state']): Promise<readonly VersionPatch[]> {
  if (state === 'generated') return [{ number: await ledger.journal.reserve(lease), label: 'pending' }]
  if (state !== 'done') return []
  const rows = await ledger.journal.versions(lease.rotation.secretId)
  const pending = rows.find(({ label }) => label === 'pending')
  const version = `made by ${holder}` as VersionId
  return pending === undefined ? [] : [{ number: pending.number, label: 'current', version }]
}

/** Whoever is first opens the rotation. */
async function openDue(): Promise<void> {
  for (const secret of await ledger.secrets.due(20)) {
    try {
      await ledger.journal.open(request(secret, { trigger: 'schedule' }))
    } catch (error) {
      if (!(error instanceof BrokerError) || error.code !== 'conflict') throw error
    }
  }
}

while (going) {
  try {
    if (await takeOne()) continue
    await openDue()
    await pause(20)
  } catch (error) {
    // the server is away, or the lease is: look again
    if (!(error instanceof BrokerError) || error.code === 'internal') throw error
    say({ failed: error.code })
    await pause(50)
  }
}
await ledger.close()
