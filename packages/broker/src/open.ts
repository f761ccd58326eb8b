import { AuditLog } from '@keyturn/audit'
import { type Config, createCalendar, type Kinds } from '@keyturn/config'
import { BrokerError, type Clock, type FindTarget, type Random, RotationEngine } from '@keyturn/core'
import { EnvelopeSealer } from '@keyturn/envelope'
import { type Ledger, openLedger } from '@keyturn/ledger'
import type { Logger } from 'pino'
import { TokenSessions } from './auth/tokens.ts'
import { isBackedUp, makeBackup, needsBackup } from './backups/before.ts'
import { Bundles } from './backups/bundles.ts'
import { backupSources } from './backups/source.ts'
import type { Broker } from './broker.ts'
import { Campaigns } from './campaigns/campaigns.ts'
import { sealings } from './campaigns/sealings.ts'
import { Catalog, settingsOf } from './catalog.ts'
import type { OpenStore } from './compose.ts'
import { named } from './exchange.ts'
import { KekWatch } from './keys/kek-watch.ts'
import { KeyLife } from './keys/key-life.ts'
import { openProvider } from './keys/keyring.ts'
import { type DerivedKeys, derivedKeys, rootRecord } from './keys/root.ts'
import { type SealedPart, sealedParts } from './keys/sealed-parts.ts'
import { brokerRegistry } from './metrics/broker-figures.ts'
import { openMetricsDoor } from './metrics/metrics-door.ts'
import { openSections } from './open-sections.ts'
import { makePrivateFolder, mustBePrivate } from './private-file.ts'
import { HotReads } from './reads/hot-reads.ts'
import { Materials } from './reads/materials.ts'
import { requestIds } from './request-id.ts'
import type { Section } from './section.ts'
import { Deliveries } from './several/deliveries.ts'
import { beforePromotion, Floors } from './several/floors.ts'
import { AuditSinks } from './sinks/audit-sinks.ts'
import { TurnClock } from './turn-clock.ts'
import { watchedJournal } from './watched-journal.ts'
import { Worker } from './worker.ts'
import { Turns } from './writes/turns.ts'

/** What a broker is made of, before it listens. */
export interface OpenOptions {
  readonly config: Config
  readonly kinds: Kinds<OpenStore>
  readonly env: NodeJS.ProcessEnv
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly version: string
}

/** A broker that is ready for requests, and how to end it. */
export interface OpenedBroker {
  readonly broker: Broker
  readonly worker: Worker
  /** Ends the worker between two durable steps, then lets go of audit, stores and ledger. */
  close(withinMs: number): Promise<void>
}

/** Puts a broker together from its config: keys, ledger, audit, policy; stores when they are first asked for. What cannot work is refused here, not at 03:00. */
export async function openBroker(options: OpenOptions): Promise<OpenedBroker> {
  const { config, clock, random, log } = options
  const { data } = config.broker
  makePrivateFolder(data)
  mustBePrivate(data)
  const production = config.environment === 'production'
  const url = config.broker.ledger
  const ledger = await openLedger({ data, clock, random, production, ...(url === null ? {} : { url }) })
  const closers: Array<() => Promise<void>> = [() => ledger.close()]
  try {
    const life = await openLife(options, ledger)
    closers.unshift(() => life.stop())
    const { keyring, meter } = life
    const sealer = new EnvelopeSealer({ keyring, random, store: ledger.id, meter })
    const keys = await derivedKeys(ledger.sealed, sealer, random)
    const audit = await openAudit(options, keys)
    closers.unshift(() => audit.close())
    const sinks = new AuditSinks({ config, audit, clock, random, log: options.log })
    sinks.start()
    closers.unshift(() => sinks.stop())
    await life.join(sealer)
    const sections = openSections(options, { keyring, etagKey: keys.etag.key })
    closers.unshift(async () => {
      await Promise.all(sections.map(section => section.close().catch(() => undefined)))
    })
    const parts = sealedParts(ledger, sections)
    const { broker, worker } = assemble(options, { ledger, sealer, keys, audit, sinks, life, sections, parts })
    closers.unshift(await guardKeys(broker))
    const { enabled = true, listen } = config.metrics
    if (enabled && listen !== undefined) {
      const door = await openMetricsDoor(listen, broker.metrics)
      closers.unshift(() => door.close())
      log.info({ address: door.address }, 'metrics')
    }
    return { broker, worker, close: closer(worker, closers) }
  } catch (error) {
    for (const close of closers) await close().catch(() => undefined)
    throw error
  }
}

function closer(worker: Worker, closers: readonly (() => Promise<void>)[]): OpenedBroker['close'] {
  return async withinMs => {
    await worker.stop(withinMs)
    for (const close of closers) await close()
  }
}

/** The keys of the config, noted in the register of the ledger. */
async function openLife(options: OpenOptions, ledger: Ledger): Promise<KeyLife> {
  const { config, env, clock, random, log, version } = options
  const fresh = (await ledger.sealed.get(rootRecord)) === null
  const trouble = (error: unknown) => {
    const { code, message, hint } = named(error)
    log.warn({ code, hint }, message)
  }
  const provider = await openProvider(config.broker, { env, clock, random, fresh, ledger, trouble })
  const { data, ledger: url } = config.broker
  return KeyLife.open({ provider, ledger, clock, random, log, data, alone: url === null, version })
}

/** Says what cannot be read, and from now on keeps the keys as the other brokers and the provider have them. Answers with how to end that. */
async function guardKeys(broker: Broker): Promise<() => Promise<void>> {
  const { life, campaigns } = broker
  const watch = new KekWatch(broker)
  await watch.tellUnreadable()
  life.start({
    promoted: (to, from) => {
      campaigns.wake()
      return watch.promoted(to, from)
    },
    changed: () => {
      // what a KEK closed is not served from memory when the KEK is gone
      broker.materials.clear()
      watch.changed()
    },
    beat: () => watch.beat(),
  })
  watch.beat()
  campaigns.start()
  return async () => {
    await campaigns.stop()
    await watch.stop()
  }
}

function openAudit({ config, clock, log }: OpenOptions, keys: DerivedKeys): Promise<AuditLog> {
  const { file, anchor } = config.audit
  return AuditLog.open({
    path: file,
    key: keys.audit,
    clock,
    ...(anchor?.file === undefined ? {} : { anchor: { path: anchor.file, everyMs: anchor.every ?? 60_000 } }),
    onTrouble: ({ kind, message }) => log.warn({ kind, message }, 'audit'),
  })
}

interface Parts extends Pick<Broker, 'ledger' | 'sealer' | 'keys' | 'audit'> {
  readonly sinks: AuditSinks
  readonly life: KeyLife
  readonly sections: readonly Section[]
  readonly parts: readonly SealedPart[]
}

function assemble(options: OpenOptions, parts: Parts): { readonly broker: Broker; readonly worker: Worker } {
  const { config, clock, random, log, version } = options
  const { ledger, sealer, keys, audit, sinks, life, sections, parts: sealed } = parts
  const { keyring } = life
  const materials = new Materials(clock)
  const catalog = new Catalog(config, sections)
  const calendar = createCalendar()
  const journal = watchedJournal(ledger.journal, secret => materials.drop(secret))
  const floors = new Floors({ records: ledger.sealed, sealer, key: keys.fingerprint.key })
  const { folder, keepMs } = config.broker.backups
  const sources = () => backupSources(sealed)
  const bundles = new Bundles({ ledger, keyring, random, meter: life.meter, clock, folder, keepMs, sources })
  const broker: Broker = {
    requestId: requestIds(random),
    clock,
    calendar,
    random,
    log,
    ledger,
    journal,
    sealer,
    audit,
    keys,
    life,
    parts: sealed,
    campaigns: new Campaigns({
      ledger,
      keyring,
      parts: sealed,
      sealing: sealings({ keyring, random, meter: life.meter }),
      audit,
      clock,
      random,
      log,
      renewBundles: wish => bundles.renew(wish),
      nameAt: (section, path) => catalog.nameAt(section, path),
      instance: life.id,
      backUp: {
        isNeeded: kind => needsBackup(config, kind),
        isMade: id => isBackedUp(ledger, id),
        make: ({ id, kind, principal, reason }, signal) => makeBackup(broker, kind, { principal, reason, op: id, signal }),
      },
    }),
    bundles,
    sessions: new TokenSessions({ tokens: ledger.tokens, key: keys.token.key, clock }),
    materials,
    hot: new HotReads(),
    turn: new TurnClock(clock),
    turns: new Turns(),
    floors,
    get metrics() {
      return metrics
    },
    get deliveries() {
      return deliveries
    },
    policy: config.access.policy,
    config,
    catalog,
    engine: new RotationEngine({
      clock,
      random,
      calendar,
      journal,
      sealer,
      target: targets(() => broker),
      publisher: { publish: (_act, rotation) => deliveries.publish(rotation.secret) },
    }),
    wake: () => worker.wake(),
    settleLater: () => worker.settleLater(),
    nextScan: () => worker.nextScan,
    kekLoaded: () => keyring.has(keyring.currentId),
    sinkStates: () => sinks.states,
    storeStates: () => Object.fromEntries(sections.map(section => [section.name, section.state])),
    version,
  }
  const deliveries = new Deliveries(broker)
  const metrics = brokerRegistry(broker)
  const worker = new Worker(broker, { scanMs: config.rotation.scanMs, holder: life.id })
  return { broker, worker }
}

/** Where the engine finds what the config of this moment says of a secret. */
function targets(brokerOf: () => Broker): FindTarget {
  return async name => {
    const broker = brokerOf()
    const { catalog } = broker
    const entry = catalog.find(name)
    if (entry === null) throw catalog.absence(name)
    await beforePromotion(broker, entry)
    const { issuer } = entry.config
    if (issuer !== null) throw new BrokerError('unsupported', `issuer ${issuer} of ${name} is of a kind that is not built`)
    return { store: await entry.section.open(), path: entry.path, issuer: null, settings: settingsOf(entry.config) }
  }
}
