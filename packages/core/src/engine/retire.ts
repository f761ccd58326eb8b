import { BrokerError } from '../error.ts'
import type { SecretValue } from '../secret-value.ts'
import type { Change, LedgerVersion, Revocation } from './journal.ts'
import type { Move, Passage } from './passage.ts'
import { supersededSince } from './promote.ts'
import { event, reached, waiting } from './reached.ts'
import type { Rotation } from './rotation.ts'

const auditPauseMs = 1_000

/** published -> grace: both versions work from here until the promised end. */
export async function enterGrace(passage: Passage): Promise<Move> {
  const { base } = passage.rotation
  return base === null ? reached('proven') : reached('grace')
}

/** grace -> revoking: only when published everywhere, the promise kept, every consumer moved, and the new version proven to work once more. */
export async function endGrace(passage: Passage): Promise<Move> {
  const { rotation, now, ports } = passage
  // a copy that was not reached is not left alone for a whole grace
  const { delivery } = rotation.outcome
  if (delivery !== 'complete') return again(passage)
  const latest = latestDue(await ports.journal.revocations(rotation.id))
  if (now < latest) return waiting('grace', latest)
  if (rotation.mode !== 'compromise') {
    const behind = (await ports.consumers?.behind(rotation)) ?? []
    if (behind.length > 0) return waiting('consumers', new Date(now.getTime() + 60_000), behind.join(', '))
  }
  await mustNotServe(passage, await passage.baseValue())
  await mustWork(passage, await successor(passage))
  return reached('revoking')
}

/** Whoever put an old version back into the store counts on it. */
export async function mustNotServe(passage: Passage, old: SecretValue | null): Promise<void> {
  const current = await passage.current()
  if (current === null || old === null || !current.value.equals(old)) return
  throw new BrokerError(
    'precondition_failed',
    `store ${passage.target.store.name} serves the old version of ${passage.rotation.secret} again; it stays valid`,
  )
}

/** A new login with it. What replaces a credential must work before that one ends. */
export async function mustWork(passage: Passage, value: SecretValue): Promise<void> {
  if (passage.issuer !== null) await passage.ask('verify', (issuer, act) => issuer.verify(act, value))
}

/** The version that was made, or what was written over it through the broker since. */
async function successor(passage: Passage): Promise<SecretValue> {
  return (await supersededSince(passage)) ? serving(passage) : passage.pendingValue()
}

/** What readers get now. */
export async function serving(passage: Passage): Promise<SecretValue> {
  const current = await passage.current()
  if (current !== null) return current.value
  const { path, store } = passage.target
  throw new BrokerError('unavailable', `store ${store.name} serves nothing at ${path}; no version is ended`)
}

/** When the last of them may be carried out. */
export function latestDue(rows: readonly Revocation[]): Date {
  return new Date(Math.max(0, ...rows.map(row => row.dueAt.getTime())))
}

/** A copy that was not reached is tried again; nothing is revoked before it has the new version. */
async function again(passage: Passage): Promise<Move> {
  const delivery = await passage.publish()
  const outcome = { ...passage.rotation.outcome, delivery: 'complete' as const }
  if (delivery.kind === 'complete') return { change: { rotation: { outcome, hold: null, attempts: 0, error: null } } }
  throw new BrokerError(
    'unavailable',
    `${delivery.of - delivery.reached} of ${delivery.of} copies do not have the new version; the old one stays valid`,
  )
}

/** revoking -> revoked: the target stops honouring what was superseded. An encryption key only stops encrypting. */
export async function revoke(passage: Passage): Promise<Move> {
  const { rotation } = passage
  const due = await pendingRevocations(passage)
  if (due.length === 0) return reached('revoked')
  // what was looked at before it came here may have changed while it waited
  if (passage.now > rotation.stateAt) await mustNotServe(passage, await passage.baseValue())
  const ended = await endDue(passage, due)
  if (ended === null) return toPerson
  const outcome = { ...rotation.outcome, revocation: 'done' as const }
  return reached('revoked', { ...ended, rotation: { outcome, ...heard(rotation) } })
}

/** Only a person can end it. */
export const toPerson = waiting('person', null, 'end the old credential at the vendor, then confirm')

/** A confirmation is used once; any other wish is still to be answered. */
export function heard({ wish }: Rotation): { readonly wish?: null } {
  return wish === 'confirm' ? { wish: null } : {}
}

export async function pendingRevocations({ ports, rotation }: Passage): Promise<readonly Revocation[]> {
  return (await ports.journal.revocations(rotation.id)).filter(row => row.state === 'pending')
}

/** Ends what is due, and answers with what to record; null while a person must do it. An encryption key only stops encrypting. */
export async function endDue(
  passage: Passage,
  due: readonly Revocation[],
): Promise<Pick<Change, 'versions' | 'revocations' | 'events'> | null> {
  const { rotation, traits, target } = passage
  const revocations = due.map(({ number }) => ({ number, state: 'done' as const }))
  if (target.settings.type === 'encryption-key') {
    return { revocations, versions: due.map(({ number }) => ({ number, status: 'decrypt-only' as const })) }
  }
  if (traits.byPerson && rotation.wish !== 'confirm') return null
  const rows = await passage.versions()
  // without an overlap the target honours one credential at a time, and not this one
  const gone = passage.issuer?.overlap === 'none' && rotation.outcome.rotation === 'rolled-back'
  for (const { number } of due) if (!gone) await endVersion(passage, rows, number)
  const ended = { label: null, status: traits.keySet ? ('inactive' as const) : null, fate: 'revoked' as const, revokedAt: passage.now }
  return {
    revocations,
    versions: due.map(({ number }) => ({ number, ...ended })),
    events: due.map(({ number }) => event('revoked', rows.find(row => row.number === number)?.version ?? null)),
  }
}

/** Ends one version at the target; with no target, in the store where it can withhold it. */
async function endVersion(passage: Passage, rows: readonly LedgerVersion[], number: number): Promise<void> {
  const row = rows.find(version => version.number === number)
  if (row === undefined) return
  if (passage.issuer !== null && !passage.traits.byPerson) {
    const value = await passage.keptValue(row)
    if (value === null)
      throw new BrokerError('corrupt', `the journal no longer holds version ${number} of ${passage.rotation.secret}, which must be revoked`)
    await passage.effect('revoke', (issuer, act) => issuer.revoke(act, value))
    return
  }
  await withhold(passage, row)
}

/** With no target, the store withholds the version where it can; it is never destroyed. */
async function withhold(passage: Passage, { version }: LedgerVersion): Promise<void> {
  const { store, path } = passage.target
  if (!store.can.has('disable') || version === null) return
  try {
    await passage.inStore(at => at.disable(path, version))
  } catch (error) {
    if (!(error instanceof BrokerError && error.code === 'not_found')) throw error
  }
}

/** revoked -> proven: the old credential is refused while the new one works. One that still works is revoked again, and never called proven. */
export async function prove(passage: Passage): Promise<Move> {
  const { rotation, target } = passage
  const done = (await passage.ports.journal.revocations(rotation.id)).filter(row => row.state === 'done')
  if (target.settings.type === 'encryption-key' || done.length === 0) return reached('proven')
  const value = await successor(passage)
  const rows = await passage.versions()
  const again = rotation.error?.code === 'precondition_failed'
  if (again) for (const { number } of done) await endVersion(passage, rows, number)
  for (const { number } of done) await proveEnded(passage, rows, number, value)
  return provenAs(passage, done, 'proven')
}

async function proveEnded(passage: Passage, rows: readonly LedgerVersion[], number: number, control: SecretValue): Promise<void> {
  const row = rows.find(version => version.number === number)
  if (row?.fate !== 'revoked') throw stillWorks(passage, number)
  if (passage.issuer !== null) {
    const value = await passage.keptValue(row)
    if (value !== null) await passage.ask('prove', (issuer, act) => issuer.prove(act, value, control))
    return
  }
  const { version } = row
  if (!passage.target.store.can.has('disable') || version === null) return
  const served = await passage
    .inStore((store, path) => store.read(path, { version }))
    .then(
      () => true,
      error => {
        if (error instanceof BrokerError && (error.code === 'precondition_failed' || error.code === 'not_found')) return false
        throw error
      },
    )
  if (served) throw stillWorks(passage, number)
}

function stillWorks(passage: Passage, number: number): BrokerError {
  return new BrokerError('precondition_failed', `version ${number} of ${passage.rotation.secret} was revoked and still works`)
}

/** The last word on the old credential when it could not be ended: said aloud, and the rotation ends. */
export async function proveFailed(passage: Passage): Promise<Move> {
  const done = (await passage.ports.journal.revocations(passage.rotation.id)).filter(row => row.state === 'done')
  return provenAs(passage, done, 'unproven')
}

function provenAs(passage: Passage, rows: readonly Revocation[], state: 'proven' | 'unproven'): Move {
  const outcome = { ...passage.rotation.outcome, revocation: state }
  const events =
    state === 'proven'
      ? undefined
      : [{ action: 'rotation.unproven', outcome: 'failed' as const, version: null, code: 'precondition_failed' }]
  const change = { revocations: rows.map(({ number }) => ({ number, state })), rotation: { outcome } }
  return reached('proven', events === undefined ? change : { ...change, events })
}

/** proven -> done: only when the audit chain has every event so far. The pending copy of what is now in the store is dropped. */
export async function finish(passage: Passage): Promise<Move> {
  const { rotation, now } = passage
  if ((await passage.ports.journal.undelivered(rotation.id)) > 0) return waiting('audit', new Date(now.getTime() + auditPauseMs))
  const made = (await passage.versions()).find(row => row.number === rotation.number && row.sealedAs === 'pending')
  const versions = made === undefined ? [] : [{ number: made.number, sealed: null, sealedAs: null }]
  return { ...reached('done', { versions, rotation: { finishedAt: now, wakeAt: null } }), rest: { wakeAt: null } }
}
