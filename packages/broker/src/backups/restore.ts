import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Config } from '@keyturn/config'
import { BrokerError, type Clock, type ErrorCode, type Random, type SecretName } from '@keyturn/core'
import type { Keyring } from '@keyturn/envelope'
import { openLedger } from '@keyturn/ledger'
import { systemClock } from '../clock.ts'
import { kinds, sealingKinds } from '../compose.ts'
import { principal } from '../copy/copy.ts'
import { type Deployment, openDeployment } from '../copy/deployment.ts'
import type { OnPause } from '../copy/patience.ts'
import { Side } from '../copy/side.ts'
import { openKeyring } from '../keys/keyring.ts'
import { pooledRandom } from '../random.ts'
import type { BundleKeys, HeaderLine, NameLine } from './bundle-line.ts'
import { keysOf, readHeader } from './bundle-reader.ts'
import { type BundledSecret, historyOf, visitBundle } from './bundled-secret.ts'
import { isBundleName } from './bundles.ts'
import { Drill, type DrillReport } from './drill.ts'
import { Lanes } from './lanes.ts'
import { type RestoreRow, Restoring } from './restoring.ts'

/** What is restored, and where to. */
export interface RestoreOptions {
  readonly config: Config
  /** A file, or the id of a bundle in the folder of the config. */
  readonly bundle: string
  /** The store to restore to; left out: the one that it was taken from. */
  readonly to?: string
  readonly overwrite: boolean
  readonly partial: boolean
  readonly env: NodeJS.ProcessEnv
  readonly signal: AbortSignal
  readonly onPause?: (store: string, ms: number, code: ErrorCode) => void
  readonly clock?: Clock
  readonly random?: Random
}

/** What a bundle holds, whether it opens, and what a restore of it would change. */
export interface RestorePlan extends DrillReport {
  readonly id: string
  readonly file: string
  readonly created: string
  readonly reason: string
  /** Why its MACs could not be checked; null: they were. */
  readonly unproven: string | null
  /** How many secrets a restore would leave, write or not write, by action; null: the store could not be looked at, as `notes` says. */
  readonly changes: Readonly<Record<RestoreRow['action'], number>> | null
  readonly notes: readonly string[]
  /** Whether every value opens and nothing is damaged. */
  readonly isWhole: boolean
}

/** A bundle and the stores that it goes to. */
export interface Restore {
  /** The drill: opens every value, compares it with what is there, changes nothing. `tell` hears of each secret that is not the same. */
  drill(tell: (row: RestoreRow) => void): Promise<RestorePlan>
  /** Writes what is missing. `corrupt` when a line is damaged, unless `partial`; `unavailable` when the bundle cannot be proven. */
  run(tell: (row: RestoreRow) => void): Promise<void>
  /** Reads everything back through new connections, and tells of each secret that is not as the bundle has it. */
  verify(tell: (row: RestoreRow) => void): Promise<void>
  /** The files that the accesses are recorded in. */
  readonly audits: readonly string[]
  close(): Promise<void>
}

const secretsAtOnce = 16
/** A secret with more versions takes the place of several: what is held opened is bounded, but for one secret. */
const versionsOfLane = 256

/**
 * Opens a bundle and its destination. `isDrill`: nothing is made that is not there yet, and a store that a running broker holds is left out of the
 * comparison. Errors: those of `readHeader`, of the keys, `not_found` for a store that the config lacks.
 */
export async function openRestore(options: RestoreOptions, isDrill: boolean): Promise<Restore> {
  const { config, env, clock = systemClock, random = pooledRandom() } = options
  const file = bundleFile(config, options.bundle)
  const header = await readHeader(file)
  const sections = sectionsOf(config, header, options.to)
  const setting = { env, clock, random }
  const isNothingThere = isDrill && config.broker.ledger === null && !existsSync(join(config.broker.data, 'root.json'))
  if (isNothingThere) {
    const keyring = await openKeyring(config.broker, { env, random, fresh: false })
    return new BundleRestore({ options, file, header, keyring, deployment: null, sides: new Map(), random, clock })
  }
  const deployment = await openDeployment(config, setting)
  try {
    const parts = {
      deployment,
      kinds: await kinds(),
      ...setting,
      principal: principal(),
      requestId: `restore_${random.uuid()}`,
      source: `restore: ${header.id}`,
      signal: options.signal,
    }
    const sides = new Map(
      [...new Set(sections.values())].map(store => {
        const onPause: OnPause = (ms, error) => options.onPause?.(store, ms, error.code)
        return [store, new Side({ ...parts, store, onPause })] as const
      }),
    )
    const byStore = new Map([...sections].map(([store, section]) => [store, sides.get(section)] as const))
    return new BundleRestore({ options, file, header, keyring: deployment.keyring, deployment, sides: byStore, random, clock })
  } catch (error) {
    await deployment.audit.close()
    throw error
  }
}

interface Parts {
  readonly options: RestoreOptions
  readonly file: string
  readonly header: HeaderLine
  readonly keyring: Keyring
  /** Null: there is none yet. */
  readonly deployment: Deployment | null
  /** By the id of the database that a version was taken from. */
  readonly sides: ReadonlyMap<string, Side | undefined>
  readonly random: Random
  readonly clock: Clock
}

/** See `Restore`. */
class BundleRestore implements Restore {
  readonly #parts: Parts
  readonly #names: NameLine[] = []

  constructor(parts: Parts) {
    this.#parts = parts
  }

  get audits(): readonly string[] {
    const { deployment } = this.#parts
    return deployment === null ? [] : [deployment.audit.path]
  }

  async drill(tell: (row: RestoreRow) => void): Promise<RestorePlan> {
    const { file, header, keyring, random } = this.#parts
    const { keys, unproven } = this.#keysIfAny()
    const notes = await this.#away()
    const targets = notes.length === 0 ? this.#targets() : null
    const drill = new Drill({ keyring, random, meter: null })
    const changes = { new: 0, behind: 0, same: 0, different: 0, left: 0, failed: 0 }
    const end = await this.#visit(drill, keys, async (secret, history, opened) => {
      if (targets === null) return
      const target = targets.get(secret.store)
      const row = target === undefined ? absentRow(secret, history, opened) : await target.look(secret, history, opened)
      changes[row.action] += 1
      if (row.action !== 'same') tell(row)
    })
    const report = drill.report(end.trailer)
    const isWhole = unproven === null && report.unreadable.length + report.damaged + report.corrupt.length === 0
    const { id, created, reason } = header
    return { ...report, id, file, created, reason, unproven, changes: targets === null ? null : changes, notes, isWhole }
  }

  async run(tell: (row: RestoreRow) => void): Promise<void> {
    const { file, header, keyring, random, options } = this.#parts
    const keys = keysOf({ keyring, random, meter: null }, file, header)
    if (!options.partial) await this.#mustBeWhole(keys)
    const targets = this.#targets()
    const drill = new Drill({ keyring, random, meter: null })
    this.#names.length = 0
    await this.#visit(drill, keys, async (secret, history, opened) => {
      if (options.signal.aborted) throw stopped()
      const target = targets.get(secret.store)
      if (target !== undefined) tell(await target.restore(secret, history, opened))
    })
    await this.#describe()
  }

  async verify(tell: (row: RestoreRow) => void): Promise<void> {
    const { file, header, keyring, random, sides } = this.#parts
    await Promise.all([...new Set(sides.values())].map(side => side?.reopen()))
    const targets = this.#targets()
    const keys = keysOf({ keyring, random, meter: null }, file, header)
    await this.#visit(new Drill({ keyring, random, meter: null }), keys, async (secret, history, opened) => {
      const row = await targets.get(secret.store)?.look(secret, history, opened)
      if (row !== undefined && row.action !== 'same') tell(row)
    })
  }

  async close(): Promise<void> {
    const { sides, deployment } = this.#parts
    await Promise.all([...new Set(sides.values())].map(side => side?.close()))
    await deployment?.audit.close()
  }

  async #visit(
    drill: Drill,
    keys: BundleKeys | null,
    act: (secret: BundledSecret, history: BundledSecret['versions'], opened: Awaited<ReturnType<Drill['open']>>) => Promise<void>,
  ) {
    const lanes = new Lanes(secretsAtOnce)
    const end = await visitBundle(this.#parts.file, keys, {
      secret: secret =>
        lanes.run(
          async () => {
            const history = historyOf(secret)
            const opened = new Map((await drill.open(secret.versions)).map(each => [each.line, each]))
            const inOrder = history.flatMap(line => opened.get(line) ?? [])
            await act(secret, history, inOrder)
          },
          Math.ceil(secret.versions.length / versionsOfLane),
        ),
      name: name => void this.#names.push(name),
      damage: damage => drill.damage(damage),
    })
    await lanes.drain()
    return end
  }

  /** The whole bundle is read before anything is written: a file that was changed is not a place to take values from. */
  async #mustBeWhole(keys: BundleKeys): Promise<void> {
    const { file } = this.#parts
    await visitBundle(file, keys, {
      secret: async () => undefined,
      name: () => undefined,
      damage: ({ line, why }) => {
        throw new BrokerError('corrupt', `line ${line} of ${file}: ${why}; nothing was written`, {
          hint: '--dry-run names every damaged line; --partial restores what is whole',
        })
      },
    })
  }

  #keysIfAny(): { readonly keys: BundleKeys | null; readonly unproven: string | null } {
    const { file, header, keyring, random } = this.#parts
    try {
      return { keys: keysOf({ keyring, random, meter: null }, file, header), unproven: null }
    } catch (error) {
      if (!(error instanceof BrokerError) || error.code !== 'unavailable') throw error
      return { keys: null, unproven: error.message }
    }
  }

  /** Why a store cannot be looked at now; empty: all can. */
  async #away(): Promise<readonly string[]> {
    const notes: string[] = []
    for (const side of new Set(this.#parts.sides.values())) {
      try {
        await side?.mustAnswer()
      } catch (error) {
        if (!(error instanceof BrokerError)) throw error
        notes.push(`not compared with ${side?.name ?? ''}: ${error.message}`)
      }
    }
    return notes
  }

  #targets(): ReadonlyMap<string, Restoring> {
    const { sides, deployment, random, options, header } = this.#parts
    if (deployment === null) return new Map()
    const { overwrite, partial } = options
    const key = deployment.keys.etag.key
    return new Map(
      [...sides].flatMap(([store, side]) =>
        side === undefined ? [] : [[store, new Restoring({ bundle: header.id, side, key, random, overwrite, partial })] as const],
      ),
    )
  }

  /** What only the old ledger knew of names goes into this one, where it knows nothing. */
  async #describe(): Promise<void> {
    const { options, random, clock } = this.#parts
    if (this.#names.length === 0) return
    const { data, ledger: url } = options.config.broker
    const production = options.config.environment === 'production'
    const ledger = await openLedger({ data, clock, random, production, ...(url === null ? {} : { url }) })
    try {
      for (const { name, type, labels } of this.#names) {
        // a name of the bundle was one of the ledger it came from
        await ledger.secrets.ensure(name as SecretName, { labels, ...(type === null ? {} : { type }) })
      }
    } finally {
      await ledger.close()
    }
  }
}

function absentRow(secret: BundledSecret, history: BundledSecret['versions'], opened: readonly unknown[]): RestoreRow {
  const base = { name: secret.path, store: secret.store, why: null, code: null }
  if (history.length === 0)
    return {
      ...base,
      action: 'left',
      versions: 0,
      why: secret.deleted === null ? 'it had no current version' : `it was deleted at ${secret.deleted}`,
    }
  return history.length === opened.length
    ? { ...base, action: 'new', versions: history.length }
    : { ...base, action: 'failed', versions: 0, code: 'unavailable' }
}

/** An id is looked for in the folder of the config. */
function bundleFile(config: Config, bundle: string): string {
  const name = `${bundle}.jsonl`
  return isBundleName(name) ? join(config.broker.backups.folder, name) : resolve(bundle)
}

/** Which section each database of the bundle goes to. */
function sectionsOf(config: Config, { stores }: HeaderLine, to: string | undefined): ReadonlyMap<string, string> {
  const sealing = [...config.stores.values()].filter(({ kind }) => sealingKinds.has(kind)).map(({ name }) => name)
  const known = sealing.length === 0 ? 'it has none' : `it has ${sealing.join(', ')}`
  if (to !== undefined && !sealing.includes(to)) {
    throw new BrokerError('not_found', `the config has no sealed store ${to}: ${known}`, {
      hint: 'restore to a sealed store; keyturn copy brings secrets from there to others',
    })
  }
  return new Map(
    stores.map(({ id, section }) => {
      const only = stores.length === 1 && sealing.length === 1 ? sealing[0] : undefined
      const found = to ?? (sealing.includes(section) ? section : only)
      if (found !== undefined) return [id, found] as const
      throw new BrokerError('not_found', `the bundle was taken from the store ${section}, which the config lacks: ${known}`, {
        hint: 'name one with --to',
      })
    }),
  )
}

function stopped(): BrokerError {
  return new BrokerError('cancelled', 'the restore was stopped between two secrets', { hint: 'run it again to go on' })
}
