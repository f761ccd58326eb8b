import { BrokerError, type LedgerVersion, type SecretValue, type SecretVersion, type VersionId } from '@keyturn/core'
import { absent, type Granted } from '../access.ts'
import type { Broker } from '../broker.ts'
import { Material, type Stage } from './material.ts'
import { pick, readStore } from './store-read.ts'

/** Which version is asked for: by its stage, or by its id. */
export type Which = { readonly stage: 'current' | 'previous' | 'pending' } | { readonly version: VersionId }

/** One version of a secret, ready to be answered. Errors: `not_found`, `precondition_failed` (revoked), and those of the store. */
export function readSecret(broker: Broker, granted: Granted, which: Which): Promise<Material> {
  if ('version' in which) return readVersion(broker, granted, which.version)
  if (which.stage === 'current') return broker.materials.current(granted, asked => readCurrent(broker, asked))
  return readJournal(broker, granted, which.stage)
}

async function readCurrent(broker: Broker, granted: Granted): Promise<Material> {
  const readMs = broker.clock.now().getTime()
  const read = await readStore(granted.entry)
  return materialOf(granted, { ...read, stage: 'current', readMs }, await ledgerOf(broker, granted))
}

/** Pending and previous are in the journal, whatever the store can hold. */
async function readJournal(broker: Broker, granted: Granted, stage: 'previous' | 'pending'): Promise<Material> {
  await mustNotBeDeleted(granted)
  const facts = await ledgerOf(broker, granted)
  const kept = facts.versions.find(version => version.label === stage && version.fate === null && isOpen(version, facts.now))
  if (kept === undefined) throw absent(`there is no ${stage} version`)
  return fromJournal(broker, granted, facts, kept, stage)
}

async function readVersion(broker: Broker, granted: Granted, version: VersionId): Promise<Material> {
  const facts = await ledgerOf(broker, granted)
  const kept = facts.versions.find(held => held.version === version)
  if (kept?.fate === 'revoked') {
    throw new BrokerError('precondition_failed', 'this version was revoked', { hint: 'read the current one', detail: { version } })
  }
  if (kept?.fate === 'quarantined') throw absent('no version has this id')
  await mustNotBeDeleted(granted)
  try {
    const readMs = broker.clock.now().getTime()
    const read = await readStore(granted.entry, version)
    return materialOf(granted, { ...read, stage: stageOf(kept, read), readMs }, facts)
  } catch (error) {
    const gone = error instanceof BrokerError && (error.code === 'not_found' || error.code === 'unsupported')
    if (!gone) throw error
    // a store that keeps no versions forgets what was overwritten; the journal does not, for as long as it is good
    if (kept?.label === 'previous' && kept.sealed !== null && isOpen(kept, facts.now)) {
      return fromJournal(broker, granted, facts, kept, 'previous')
    }
    throw absent('no version has this id')
  }
}

/** A secret that is not there has no older versions to be read either. A store that does not answer leaves what the journal has. */
async function mustNotBeDeleted({ entry }: Granted): Promise<void> {
  try {
    await entry.section.ask(store => store.read(entry.path))
  } catch (error) {
    if (error instanceof BrokerError && error.code === 'not_found') throw error
  }
}

interface LedgerFacts {
  readonly row: Granted['row']
  readonly versions: readonly LedgerVersion[]
  readonly now: Date
}

async function ledgerOf(broker: Broker, granted: Granted): Promise<LedgerFacts> {
  const row = await broker.ledger.secrets.byName(granted.entry.name)
  const versions = row === null ? [] : await broker.journal.versions(row.id)
  return { row, versions, now: await broker.ledger.now() }
}

function fromJournal(broker: Broker, granted: Granted, facts: LedgerFacts, kept: LedgerVersion, stage: Stage): Material {
  const { secretId, number, sealed, sealedAs } = kept
  if (sealed === null || sealedAs === null) throw absent(`there is no ${stage} version`)
  const value = pick(granted.entry, broker.sealer.open({ secretId, number, kind: sealedAs }, sealed))
  // a pending version has no id of the store yet
  const version = kept.version ?? (`pending-${number}` as VersionId)
  return materialOf(granted, { value, version, createdAt: kept.createdAt, stage, readMs: facts.now.getTime() }, facts)
}

type Read = Pick<SecretVersion, 'version' | 'createdAt'> & { readonly value: SecretValue; readonly stage: Stage; readonly readMs: number }

function materialOf(granted: Granted, read: Read, facts: LedgerFacts): Material {
  const { entry, type, labels } = granted
  const previous = facts.versions.find(version => version.label === 'previous' && version.fate === null && isOpen(version, facts.now))
  const { version: id, graceUntil } = previous ?? {}
  const inGrace = id !== undefined && id !== null && graceUntil !== undefined && graceUntil !== null && id !== read.version
  return new Material({
    name: entry.name,
    version: read.version,
    stage: read.stage,
    type,
    labels,
    value: read.value,
    createdAt: read.createdAt,
    grace: inGrace ? { version: id, until: graceUntil } : null,
    rotatesAt: facts.row?.nextRotationAt ?? null,
    ttl: Math.floor(entry.config.cacheMs / 1000),
    source: entry.section.name,
    readMs: read.readMs,
  })
}

/** Whether readers may still be given a version that was superseded. What was encrypted with a key must be read for ever. */
function isOpen(version: LedgerVersion, now: Date): boolean {
  return version.status === 'decrypt-only' || version.graceUntil === null || version.graceUntil > now
}

function stageOf(kept: LedgerVersion | undefined, read: SecretVersion): Stage {
  if (read.state === 'current' || read.state === 'pending') return read.state
  return kept?.label === 'previous' ? 'previous' : 'older'
}
