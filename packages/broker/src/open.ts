import { AuditLog } from '@keyturn/audit'
import { type Config, createCalendar, type Kinds } from '@keyturn/config'
import { BrokerError, type Clock, type FindTarget, type Random, RotationEngine } from '@keyturn/core'
import { EnvelopeSealer, type Keyring, WrapMeter } from '@keyturn/envelope'
import { openLedger } from '@keyturn/ledger'
import type { Logger } from 'pino'
import { TokenSessions } from './auth/tokens.ts'
import type { Broker } from './broker.ts'
import { Catalog, settingsOf } from './catalog.ts'
import type { OpenStore } from './compose.ts'
import { openKeyring } from './keys/keyring.ts'
import { type DerivedKeys, derivedKeys, rootRecord } from './keys/root.ts'
import { leaveRootCopy } from './keys/root-copy.ts'
import { fileTally } from './keys/wrap-tally.ts'
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
  const { config, clock, random } = options
  const { data } = config.broker
  makePrivateFolder(data)
  mustBePrivate(data)
  const production = config.environment === 'production'
  const url = config.broker.ledger
  const ledger = await openLedger({ data, clock, random, production, ...(url === null ? {} : { url }) })
  const closers: Array<() => Promise<void>> = [() => ledger.close()]
  try {
    const fresh = (await ledger.sealed.get(rootRecord)) === null
    const keyring = openKeyring(config.broker, { env: options.env, random, fresh })
    const meter = new WrapMeter(fileTally(data))
    await meter.ready(keyring.currentId, 2)
    const sealer = new EnvelopeSealer({ keyring, random, store: ledger.id, meter })
    const keys = await derivedKeys(ledger.sealed, sealer, random)
    const audit = await openAudit(options, keys)
    closers.unshift(() => audit.close())
    const sinks = new AuditSinks({ config, audit, clock, random, log: options.log })
    sinks.start()
    closers.unshift(() => sinks.stop())
    const root = await ledger.sealed.get(rootRecord)
    if (root !== null) leaveRootCopy(data, { ledger: ledger.id, sealed: root })
    const sections = openSections(options, { keyring, etagKey: keys.etag.key })
    closers.unshift(async () => {
      await Promise.all(sections.map(section => section.close().catch(() => undefined)))
    })
    const broker = assemble(options, { ledger, sealer, keys, audit, keyring, sections })
    return { ...broker, close: closer(broker.worker, closers) }
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
  readonly keyring: Keyring
  readonly sections: readonly Section[]
}

function assemble(options: OpenOptions, parts: Parts): { readonly broker: Broker; readonly worker: Worker } {
  const { config, clock, random, log, version } = options
  const { ledger, sealer, keys, audit, keyring, sections } = parts
  const materials = new Materials(clock)
  const catalog = new Catalog(config, sections)
  const calendar = createCalendar()
  const journal = watchedJournal(ledger.journal, secret => materials.drop(secret))
  const floors = new Floors({ records: ledger.sealed, sealer, key: keys.fingerprint.key })
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
    sessions: new TokenSessions({ tokens: ledger.tokens, key: keys.token.key, clock }),
    materials,
    hot: new HotReads(),
    turn: new TurnClock(clock),
    turns: new Turns(),
    floors,
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
    storeStates: () => Object.fromEntries(sections.map(section => [section.name, section.state])),
    version,
  }
  const deliveries = new Deliveries(broker)
  const worker = new Worker(broker, { scanMs: config.rotation.scanMs, holder: `broker_${Buffer.from(random.bytes(6)).toString('hex')}` })
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
