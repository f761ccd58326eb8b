import { BrokerError, type LedgerVersion, type SecretValue, type SecretVersion, type VersionId } from '@keyturn/core'
import { absent, type Granted } from '../access.ts'
import type { Broker } from '../broker.ts'
import { promotionOf } from '../several/floors.ts'
import { patienceMs, readSeveral } from '../several/read-several.ts'
import { Material, type Stage } from './material.ts'
import type { MaterialSource } from './materials.ts'
import { pick, readStore } from './store-read.ts'

/** Which version is asked for: by its stage, or by its id. */
export type Which = { readonly stage: 'current' | 'previous' | 'pending' } | { readonly version: VersionId }

/** What the record says of an answer that stood in for a store that is away. */
export const staleNote = 'stale'

/** One version of a secret, ready to be answered. Errors: `not_found`, `precondition_failed` (revoked), and those of the store. */
export function readSecret(broker: Broker, granted: Granted, which: Which): Promise<Material> {
  const { materials } = broker
  const { name } = granted.entry
  if ('version' in which) return materials.other(name, `version ${which.version}`, () => readVersion(broker, granted, which.version))
  const { stage } = which
  if (stage === 'current') return materials.current(granted, currentOf(broker))
  return materials.other(name, stage, () => readJournal(broker, granted, stage))
}

const currentOf = (broker: Broker): MaterialSource => ({
  fetch: granted => readCurrent(broker, granted),
  holds: (granted, earlier) => holds(broker, granted, earlier),
})

async function readCurrent(broker: Broker, granted: Granted): Promise<Material> {
  const { others, config } = granted.entry
  // what may stand in later must be known to be no older than what was promoted before it was read
  const before = config.maxStaleMs === null ? {} : { promotion: promotionOf((await ledgerOf(broker, granted)).versions) }
  if (others.length > 0) return readFromSeveral(broker, granted, before)
  const readMs = broker.clock.now().getTime()
  const read = await readStore(granted.entry)
  return materialOf(granted, { ...read, stage: 'current', readMs, ...before }, await ledgerOf(broker, granted))
}

async function readFromSeveral(broker: Broker, granted: Granted, known: { readonly promotion?: number | null } = {}): Promise<Material> {
  const { id } = granted.row ?? (await broker.ledger.secrets.ensure(granted.entry.name))
  const { read, ...found } = await readSeveral(broker, granted.entry, id)
  return materialOf(granted, { ...read, ...found, ...known, stage: 'current' }, await ledgerOf(broker, granted))
}

/** What may not stand in for a store that is away: what was promoted over since, by any broker of this ledger, and what was taken away. */
async function holds(broker: Broker, granted: Granted, { parts }: Material): Promise<boolean> {
  const { row, versions } = await ledgerOf(broker, granted)
  const promotion = promotionOf(versions)
  if (promotion !== parts.promotion) return false
  const floor = row === null ? undefined : (await broker.floors.get(row.id))?.floor
  if (floor === undefined) return true
  const several = granted.entry.others.length > 0
  if (floor.gone !== null) return !several && Date.parse(floor.notedAt) < parts.readMs
  return !several || (floor.promotion === promotion && (floor.fingerprint === null || floor.fingerprint === parts.fingerprint))
}

/** Pending and previous are in the journal, whatever the store can hold. */
async function readJournal(broker: Broker, granted: Granted, stage: 'previous' | 'pending'): Promise<Material> {
  await mustNotBeDeleted(broker, granted)
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
  await mustNotBeDeleted(broker, granted)
  const readMs = broker.clock.now().getTime()
  try {
    const read = await readStore(granted.entry, version)
    return materialOf(granted, { ...read, stage: stageOf(kept, read), readMs }, facts)
  } catch (error) {
    const gone = error instanceof BrokerError && (error.code === 'not_found' || error.code === 'unsupported')
    if (!gone) return currentBy(broker, granted, version, error)
    // a store that keeps no versions forgets what was overwritten; the journal does not, for as long as it is good
    if (kept?.label === 'previous' && kept.sealed !== null && isOpen(kept, facts.now)) {
      return fromJournal(broker, granted, facts, kept, 'previous')
    }
    throw absent('no version has this id')
  }
}

/** The current version has an id too, and where the first of several stores does not answer another one may have it. */
async function currentBy(broker: Broker, granted: Granted, version: VersionId, error: unknown): Promise<Material> {
  const { others } = granted.entry
  if (others.length === 0 || !(error instanceof BrokerError) || error.remedy !== 'retry') throw error
  const material = await readFromSeveral(broker, granted)
  if (material.parts.version !== version) throw error
  return material
}

/** A secret that is not there has no older versions to be read either. A store that does not answer leaves what the journal has. */
async function mustNotBeDeleted(broker: Broker, { entry, row }: Granted): Promise<void> {
  const several = entry.others.length > 0
  try {
    await entry.section.ask((store, call) => store.read(entry.path, call), several ? patienceMs : undefined)
  } catch (error) {
    if (error instanceof BrokerError && error.code === 'not_found') throw error
    const noted = several && row !== null ? await broker.floors.get(row.id) : null
    if (noted !== null && noted.floor.gone !== null) throw absent('there is no such secret')
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

interface Read extends Pick<SecretVersion, 'version' | 'createdAt'> {
  readonly value: SecretValue
  readonly stage: Stage
  readonly readMs: number
  /** Left out: the first store. */
  readonly source?: string
  readonly fingerprint?: string
  /** Left out: what the ledger says after the read. */
  readonly promotion?: number | null
}

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
    source: read.source ?? entry.section.name,
    telling: entry.others.length > 0 || entry.config.maxStaleMs !== null,
    promotion: read.promotion === undefined ? promotionOf(facts.versions) : read.promotion,
    fingerprint: read.fingerprint ?? null,
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
