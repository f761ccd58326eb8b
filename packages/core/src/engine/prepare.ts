import { BrokerError, remedies } from '../error.ts'
import type { VersionId } from '../name.ts'
import type { SecretValue } from '../secret-value.ts'
import type { Finding } from '../store-adapter.ts'
import { generateValue } from './generate.ts'
import type { LedgerVersion, VersionPatch } from './journal.ts'
import type { Move, Passage } from './passage.ts'
import { reached, waiting } from './reached.ts'

/** queued -> preflight: everything that can be known before anything is touched. */
export async function preflight(passage: Passage): Promise<Move> {
  const held = await mayStart(passage)
  if (held !== undefined) return held
  mustSuit(passage)
  const current = await passage.current()
  if (current === null) {
    mustNotNeedOne(passage)
    mustNotBeLost(passage, labelledCurrent(await passage.versions()))
  } else {
    mustNotBeThere(passage)
    mustPass(await passage.inStore((store, path) => store.examine(path)))
    if (passage.issuer !== null) mustPass(await passage.ask('preflight', (issuer, act) => issuer.preflight(act, current.value)))
  }
  return reached('preflight')
}

async function mayStart(passage: Passage): Promise<Move | undefined> {
  const { rotation, target, now } = passage
  if (target.settings.approval && !rotation.approved) return waiting('approval', null)
  if (rotation.mode === 'compromise') return undefined
  // a write through the broker promises a grace too
  const promised = Math.max(0, ...(await passage.versions()).map(row => (row.label === 'previous' ? (row.graceUntil?.getTime() ?? 0) : 0)))
  if (promised > now.getTime()) return waiting('grace', new Date(promised))
  const { open, next } = passage.ports.calendar.allows(now, target.settings.rules)
  return open ? undefined : waiting('window', next)
}

/** An issuer is changed by a login that works: without one nothing can be begun. */
function mustNotNeedOne({ issuer, target }: Passage): void {
  if (issuer === null) return
  throw new BrokerError('not_found', `store ${target.store.name} holds nothing at ${target.path}, so there is nothing to rotate`, {
    hint: 'write the credential that works now first: keyturn set',
  })
}

const labelledCurrent = (rows: readonly LedgerVersion[]) => rows.find(row => row.label === 'current')

/** A store that is not mounted, or was lost, reads as empty: what the ledger knows to be there is never made anew. */
function mustNotBeLost({ target }: Passage, known: LedgerVersion | undefined): void {
  if (known === undefined) return
  throw new BrokerError(
    'precondition_failed',
    `store ${target.store.name} holds nothing at ${target.path}, where version ${known.version} was current`,
    {
      hint: 'bring the store back as it was; if the secret was deleted there on purpose, write it anew: keyturn set',
    },
  )
}

/** A first version is made where there is none; what someone else put there meanwhile is not to be replaced. */
function mustNotBeThere({ rotation, target }: Passage): void {
  if (rotation.trigger === 'first') throw new BrokerError('conflict', `${target.path} has a first version already; it stays`)
}

function mustSuit({ traits, rotation, issuer }: Passage): void {
  if (traits.needsIssuer && issuer === null) {
    throw new BrokerError('unsupported', `strategy ${rotation.strategy} of ${rotation.secret} needs an issuer, and none is configured`)
  }
  if (traits.overlap !== null && issuer !== null && issuer.overlap !== traits.overlap) {
    throw new BrokerError(
      'unsupported',
      `strategy ${rotation.strategy} needs overlap ${traits.overlap}; issuer ${issuer.kind} has ${issuer.overlap}`,
    )
  }
}

function mustPass(findings: readonly Finding[]): void {
  const failed = findings.filter(finding => !finding.ok)
  if (failed.length === 0) return
  const list = failed.map(({ what, hint }) => (hint === undefined ? what : `${what} (${hint})`)).join('; ')
  throw new BrokerError(failed.every(isUnseen) ? 'unavailable' : 'precondition_failed', `preflight: ${list}`)
}

/** Whether nobody answered: what could not be looked at has not failed, and is looked at again. */
function isUnseen({ code }: Finding): boolean {
  return code !== undefined && (code === 'outcome_unknown' || remedies[code] === 'retry')
}

/** preflight -> backed-up: the current value, sealed in the journal before any effect. */
export async function backUp(passage: Passage): Promise<Move> {
  const current = await passage.current()
  const labelled = labelledCurrent(await passage.versions())
  const known = current !== null && labelled?.version === current.version ? labelled : undefined
  const versions: VersionPatch[] = []
  // written behind the broker's back: what the ledger called current is not, and the store's word counts
  if (labelled !== undefined && known === undefined) versions.push({ number: labelled.number, label: null, status: null })
  if (current === null) {
    mustNotNeedOne(passage)
    mustNotBeLost(passage, labelled)
    return reached('backed-up', { rotation: { base: null } })
  }
  mustNotBeThere(passage)
  const number = known?.number ?? (await passage.reserve())
  versions.push({
    number,
    version: current.version,
    label: 'current',
    status: passage.traits.keySet ? 'primary' : null,
    ...passage.seal(number, 'previous', current.value),
  })
  return reached('backed-up', { rotation: { base: { number, version: current.version, etag: current.etag } }, versions })
}

/** backed-up -> generated: the next value, sealed before anyone else sees it. Under the same number for as long as it is not refused for good. */
export async function generate(passage: Passage): Promise<Move> {
  const { traits, rotation } = passage
  if (traits.byPerson) return entered(passage)
  const base = await passage.baseValue()
  const value = await nextValue(passage, base)
  if (base?.equals(value)) throw new BrokerError('precondition_failed', 'the target made the credential that is current now')
  const number = rotation.number ?? (await passage.reserve())
  return reached('generated', {
    rotation: { number },
    versions: [
      {
        number,
        label: 'pending',
        status: traits.keySet ? 'pre-active' : null,
        rotation: rotation.id,
        ...passage.seal(number, 'pending', value),
      },
    ],
  })
}

async function nextValue(passage: Passage, base: SecretValue | null): Promise<SecretValue> {
  const mint = passage.issuer?.mint
  if (mint !== undefined && base !== null) return passage.effect('mint', (issuer, act) => mint.call(issuer, act, base))
  const generated = generateValue(passage.target.settings, base, passage.ports.random)
  const draft = passage.issuer?.draft
  if (draft === undefined || base === null) return generated
  return passage.ask('draft', (issuer, act) => draft.call(issuer, act, generated, base))
}

async function entered(passage: Passage): Promise<Move> {
  const { rotation } = passage
  const row = (await passage.versions()).find(version => version.label === 'pending' && version.rotation === rotation.id)
  if (row === undefined) return waiting('person', null, 'enter the new value')
  const [base, value] = [await passage.baseValue(), await passage.keptValue(row)]
  if (base === null || value === null || !base.equals(value)) return reached('generated')
  const again = waiting('person', null, 'enter a new value: the one that was entered is current now')
  const versions = [{ number: row.number, label: null, fate: 'quarantined' as const }]
  return { ...again, change: { rotation: { ...again.change.rotation, number: null }, versions } }
}

/** generated -> staged: the store has seen the value and will take it; where it can, it holds it out of sight. */
export async function stage(passage: Passage): Promise<Move> {
  const value = await passage.pendingValue()
  mustFit(passage, value)
  if (!passage.target.store.can.has('stages') || passage.traits.completedByApply) return reached('staged')
  return reached('staged', { rotation: { version: await stageOnce(passage, value, 'stage') } })
}

/** Stages a value, as generated or as its target completed it; a second attempt is given the version that the first one made. */
export async function stageOnce(passage: Passage, value: SecretValue, intent: 'stage' | 'complete'): Promise<VersionId> {
  const { version } = await passage.inStore((store, path) => store.stage(path, value, { idempotencyKey: passage.intentKey(intent) }))
  return version
}

export function mustFit(passage: Passage, value: SecretValue): void {
  const why = passage.target.store.refuses(value)
  if (why !== undefined) {
    throw new BrokerError('invalid_argument', `store ${passage.target.store.name} cannot hold the new value whole: ${why}`)
  }
}
