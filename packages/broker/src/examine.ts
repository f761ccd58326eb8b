import { createSecretKey } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Config, nearest } from '@keyturn/config'
import { BrokerError, type Call, type ErrorCode, type Finding, type Random, secretName } from '@keyturn/core'
import { Keyring } from '@keyturn/envelope'
import { Catalog, type Entry, type Place } from './catalog.ts'
import { systemClock } from './clock.ts'
import { kinds } from './compose.ts'
import { readKekCopy } from './keys/kek-copy.ts'
import { keysBesideData } from './keys/kek-findings.ts'
import { openKeyring, openProvider } from './keys/keyring.ts'
import { openSections } from './open-sections.ts'
import { neverRotated } from './operations/start.ts'
import { pooledRandom } from './random.ts'
import type { Section } from './section.ts'

/** A finding; `code` is the error behind it, `name` the word for what is wrong where the code does not say it. */
export type NamedFinding = Finding & { readonly code?: ErrorCode; readonly name?: string }

/** What was found of a store, or of one secret in it. */
export interface Examined {
  readonly store: string
  readonly kind: string
  /** null: the store itself. */
  readonly secret: string | null
  readonly findings: readonly NamedFinding[]
}

/** What is looked at: everything, one store, or one secret. */
export interface ExamineOnly {
  readonly store?: string
  readonly secret?: string
  /** Where stores and keys look for what the config leaves to the environment. */
  readonly env: NodeJS.ProcessEnv
  readonly signal?: AbortSignal
}

/** Logs in to the stores of a config and looks at rights, paths and fields, without a broker: all of them, one, or one secret. */
export async function examineStores(config: Config, only: ExamineOnly): Promise<readonly Examined[]> {
  const random = pooledRandom()
  const looking = await lookingGlass(config, only.env, random)
  // what a fingerprint is keyed by plays no part in looking
  const keys = { keyring: looking.keyring, etagKey: createSecretKey(random.bytes(32)) }
  const sections = openSections({ config: looking.config, kinds: await kinds(), clock: systemClock, random, env: only.env }, keys)
  try {
    const catalog = new Catalog(config, sections)
    const entries = (only.secret === undefined ? catalog.named() : [secretName(only.secret)]).flatMap(name => catalog.find(name) ?? [])
    const wanted = sections.filter(section => wants(section, only, entries))
    const found = wanted.map(section => examineSection(section, placesIn(section, entries), only))
    return (await Promise.all(found)).flat()
  } finally {
    await Promise.all(sections.map(section => section.close().catch(() => undefined)))
    looking.end()
  }
}

function wants(section: Section, only: ExamineOnly, entries: readonly Entry[]): boolean {
  if (only.store !== undefined) return section.name === only.store
  return only.secret === undefined || placesIn(section, entries).length > 0
}

interface NamedPlace extends Place {
  readonly name: string
  /** Whether the broker writes it by itself. */
  readonly isRotated: boolean
}

/** What a store has of some secrets, as the first or any other of their stores. */
function placesIn(section: Section, entries: readonly Entry[]): readonly NamedPlace[] {
  return entries.flatMap(entry => {
    const isRotated = neverRotated(entry) === undefined
    return [entry, ...entry.others].filter(place => place.section === section).map(place => ({ ...place, name: entry.name, isRotated }))
  })
}

async function examineSection(section: Section, places: readonly NamedPlace[], { signal }: ExamineOnly): Promise<readonly Examined[]> {
  const call = signal === undefined ? {} : { signal }
  const base = { store: section.name, kind: section.kind }
  const store = await findingsOf('login', () => section.ask(open => open.examine(null, call)))
  const whole: Examined = { ...base, secret: null, findings: store }
  // behind a store that cannot be asked, every secret would only say so again
  if (store.some(finding => finding.code !== undefined)) return [whole]
  const said = new Set(store.map(sayingOf))
  const all: Examined[] = []
  const waiting = [...places.entries()]
  const take = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [index, place] = next
      const findings = await findingsOf(place.path, () => examinePlace(place, call))
      // what is so of the store is said once
      all[index] = { ...base, secret: place.name, findings: findings.filter(finding => !said.has(sayingOf(finding))) }
    }
  }
  await Promise.all(Array.from({ length: looksAtOnce }, take))
  return [whole, ...all]
}

const looksAtOnce = 8

const sayingOf = ({ ok, what, detail, code }: NamedFinding): string => JSON.stringify([ok, what, detail, code])

/** One place, and the fields that the config names there. Where the store tells their names nothing is read; elsewhere there is no other way to know. */
async function examinePlace({ section, path, keys, isRotated }: NamedPlace, call: Call): Promise<readonly NamedFinding[]> {
  const told = await section.ask(store => store.examine(path, call))
  const findings = isRotated ? told.map(mustWrite) : told
  if (keys === null || told.some(finding => !finding.ok)) return findings
  const fields = findings.find(finding => finding.fields !== undefined)?.fields
  const held = fields ?? (await section.ask(store => store.read(path, call))).value.fieldNames ?? []
  return [...findings, ...keys.map(key => fieldFinding(key, held))]
}

/** What is rotated here has to be written too. */
function mustWrite(finding: Finding): Finding {
  const { toWrite: hint, detail: told } = finding
  if (hint === undefined || !finding.ok) return finding
  const detail = [...(told === undefined ? [] : [told]), 'it is rotated here, and this login may not write it'].join('; ')
  return { ...finding, ok: false, detail, hint, code: 'permission_denied' }
}

function fieldFinding(key: string, held: readonly string[]): NamedFinding {
  const what = `field ${key}`
  if (held.includes(key)) return { ok: true, what }
  const near = nearest(key, held)
  const hint = near === undefined ? 'write the field, or correct the key of this entry' : `did you mean ${near}?`
  return { ok: false, what, detail: 'it is not there', hint, code: 'not_found' }
}

/** What a look found; a look that failed is a finding too. */
async function findingsOf(what: string, look: () => Promise<readonly Finding[]>): Promise<readonly NamedFinding[]> {
  try {
    return await look()
  } catch (error) {
    if (!(error instanceof BrokerError) || error.code === 'cancelled') throw error
    return [
      { ok: false, what, detail: error.message, hint: error.hint ?? hints[error.code] ?? 'see the log of the store', code: error.code },
    ]
  }
}

const hints: Partial<Record<ErrorCode, string>> = {
  unavailable: 'look whether the store runs and can be reached from here',
  unauthenticated: 'correct the auth of this section',
  permission_denied: 'give the login of this section the right',
  not_found: 'write it, or correct the path in the config',
  conflict: 'another process holds it: ask the running broker instead',
}

interface LookingGlass {
  readonly config: Config
  readonly keyring: Keyring
  readonly end: () => void
}

/**
 * To look must not make anything: where nothing was ever started, the stores of this machine are looked at in a folder that goes away, under a key that
 * does too. Keys that cannot be opened keep no other store from being looked at: `examineBroker` says why.
 */
async function lookingGlass(config: Config, env: NodeJS.ProcessEnv, random: Random): Promise<LookingGlass> {
  if (wasStarted(config)) {
    const keyring = await openKeyring(config.broker, { env, random, fresh: false }).catch((error: unknown) => {
      if (error instanceof BrokerError) return throwaway(random)
      throw error
    })
    return { config, keyring, end: () => undefined }
  }
  const data = mkdtempSync(join(tmpdir(), 'keyturn-examine-'))
  const end = () => rmSync(data, { recursive: true, force: true })
  return { config: { ...config, broker: { ...config.broker, data } }, keyring: throwaway(random), end }
}

function throwaway(random: Random): Keyring {
  return new Keyring({ keks: new Map([['look', createSecretKey(random.bytes(32))]]), current: 'look' })
}

function wasStarted({ broker: { data, ledger } }: Config): boolean {
  return ledger !== null || existsSync(join(data, 'ledger.db'))
}

/** What can be said of a broker that is not running: whether its keys are at hand. A running one says more: `kek-status`. */
export async function examineBroker(config: Config, env: NodeJS.ProcessEnv): Promise<readonly NamedFinding[]> {
  const random = pooledRandom()
  const elsewhere = isElsewhere(config) ? await examineProvider(config, env, random) : []
  return [...(await keysFound(config, env, random)), ...keysBesideData(config), ...elsewhere]
}

async function keysFound(config: Config, env: NodeJS.ProcessEnv, random: Random): Promise<readonly NamedFinding[]> {
  const { data, keys, ledger } = config.broker
  if (!wasStarted(config) && keys.provider !== 'env') return [{ ok: true, what: 'keys', detail: 'made at the first start' }]
  if (isElsewhere(config) && readKekCopy(data) === null) {
    const detail = `no broker was started with ${data} yet: its first start reads the keys from the ledger, and makes k1 where there is none`
    return [{ ok: true, what: 'keys', detail }]
  }
  try {
    const keyring = await openKeyring(config.broker, { env, random, fresh: false })
    return [{ ok: true, what: 'keys', detail: `current ${keyring.currentId}, loaded ${keyring.ids.join(' ')}` }]
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error
    const isNew = ledger !== null && keys.provider === 'file' && readKekCopy(data) === null
    const hint = isNew ? 'the first broker on a new ledger makes it; where one was started before, put its keys there' : error.hint
    return [{ ok: false, what: 'keys', name: 'KEK missing', detail: error.message, hint: hint ?? 'put the keys back', code: error.code }]
  }
}

function isElsewhere({ broker: { keys } }: Config): boolean {
  return keys.provider !== 'env' && keys.provider !== 'file'
}

/** Whether a provider elsewhere answers, and may do what it must. It is asked also when it opens nothing: then it says why. */
async function examineProvider(config: Config, env: NodeJS.ProcessEnv, random: Random): Promise<readonly NamedFinding[]> {
  const refuse = () => Promise.reject(new BrokerError('internal', 'to look writes nothing'))
  const ledger = { id: 'examine', keks: { all: async () => [], meet: refuse, move: refuse } }
  return findingsOf('provider of the keys', async () => {
    const provider = await openProvider(config.broker, { env, random, clock: systemClock, fresh: false, ledger, trouble: () => undefined })
    try {
      return await provider.examine(AbortSignal.timeout(examineMs))
    } finally {
      await provider.close()
    }
  })
}

const examineMs = 15_000
