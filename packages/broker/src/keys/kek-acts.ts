import { createHmac, timingSafeEqual } from 'node:crypto'
import { BrokerError } from '@keyturn/core'
import type { KekRecord } from '@keyturn/ledger'
import type { Broker } from '../broker.ts'
import { type KekFacts, kekFacts, needsOf, recordOf } from './kek-facts.ts'
import { exposure, safetyOf } from './retiring.ts'
import { sumOf } from './sealed-parts.ts'

const makeMs = 30_000
const confirmationMs = 10 * 60_000

/** Who asks for a KEK to end, and with which words. */
export interface DestroyWish {
  readonly principal: string
  /** The id again. */
  readonly confirm?: string | undefined
  /** What the refusal of the first request gave. */
  readonly confirmation?: string | undefined
  /** How many values the caller knows to be lost. */
  readonly loses?: number | undefined
}

/** Has the provider make a KEK; it becomes current when all brokers hold it. `unsupported` where the operator makes them, `conflict` when the id is taken. */
export async function makeKek(broker: Broker, id: string): Promise<KekRecord> {
  const { life, ledger } = broker
  const { provider } = life
  if (provider.make === undefined) {
    throw new BrokerError('unsupported', `keys come from ${provider.kind}, which makes none`, {
      hint: 'make one with keyturn kek new, put it where the keys come from, and start the brokers again',
    })
  }
  if ((await ledger.keks.all()).some(record => record.id === id)) {
    throw new BrokerError('conflict', `KEK ${id} is known already`, { hint: 'take an id that was never used', detail: { kekId: id } })
  }
  await provider.make(id, AbortSignal.timeout(makeMs))
  await life.reload()
  const { error } = life.keys.health
  if (error !== null) throw error
  return recordOf(await ledger.keks.all(), id)
}

/** Forbids a KEK for good, in every database and in the register. `conflict` while anything needs it, with all that does. Twice is once. */
export async function retireKek(broker: Broker, id: string): Promise<KekRecord> {
  const { ledger, parts } = broker
  const facts = await kekFacts(broker)
  const record = recordOf(facts.records, id)
  if (record.state === 'retired') return record
  mustBeUnneeded(facts, record)
  // each database refuses by itself what came under it since: the register is last, so that a retired KEK is forbidden everywhere
  for (const part of parts) await (await part.open()).retire(id)
  await ledger.keks.move(id, 'retired')
  return recordOf(await ledger.keks.all(), id)
}

/** Notes that somebody else may know a KEK. `conflict` for the one that closes new values. Twice is once. */
export async function compromiseKek(broker: Broker, id: string): Promise<KekRecord> {
  const { keks } = broker.ledger
  const record = recordOf(await keks.all(), id)
  if (record.state === 'active') {
    throw new BrokerError('conflict', `KEK ${id} closes new values: promote another one first`, {
      hint: 'make a new KEK and promote it, mark this one, then encrypt everything anew',
      detail: { kekId: id, state: record.state },
    })
  }
  await keks.move(id, 'compromised')
  return recordOf(await keks.all(), id)
}

/**
 * Ends a KEK for good, and with it every value that it alone opens. `conflict`, with what would be lost and a `confirmation` of ten minutes, until the
 * caller sends that, the id and the number of values again, and nothing has changed meanwhile. Other brokers let go of it at their next heartbeat.
 * `unavailable` when the register has it as destroyed and the provider could not destroy its copy: that is tried again, and sending it again tells.
 */
export async function destroyKek(broker: Broker, id: string, wish: DestroyWish): Promise<DestroyedKek> {
  const { ledger, life } = broker
  const facts = await kekFacts(broker)
  const record = recordOf(facts.records, id)
  if (record.state !== 'destroyed') {
    mustBeIdle(facts, record)
    mustKnowAll(facts)
    mustBeConfirmed(broker, facts, record, await lossOf(broker, facts, record), wish)
    await ledger.keks.move(id, 'destroyed')
  }
  // also takes it from this process, and from the provider where it can
  await life.beat()
  const { kind, destroy } = life.provider
  const left = life.copies.left.get(id)
  if (left !== undefined && destroy !== undefined) throw stillThere(id, left)
  return { ...recordOf(await ledger.keks.all(), id), next: nextOf(id, kind, broker) }
}

/** A KEK that is no more, and what is left to do by hand. */
export interface DestroyedKek extends KekRecord {
  readonly next: string
}

function nextOf(id: string, kind: string, { config }: Broker): string {
  const { keys } = config.broker
  const copies = `destroy every other copy of KEK ${id} too`
  if (keys.provider === 'env') return `take the variable ${keys.prefix}_KEK_${id} away from every broker; ${copies}`
  if (keys.provider === 'file') return `brokers with a folder of their own destroy theirs at their next heartbeat; ${copies}`
  return `backups of the ledger still hold it closed by ${kind}: destroy them, or the key of the provider`
}

function stillThere(id: string, why: BrokerError): BrokerError {
  return new BrokerError(
    'unavailable',
    `KEK ${id} is destroyed in the register and opens nothing here, but its copy is still there: ${why.message}`,
    {
      hint: `${why.hint ?? 'take its copy away'}; it is tried again every 15 s, and sending this again tells whether it is gone`,
      detail: { kekId: id, state: 'destroyed' },
      cause: why,
    },
  )
}

/** Nobody closes with it, and no broker is about to: its end must not come between. */
function mustBeIdle({ live }: KekFacts, { id, state }: KekRecord): void {
  const detail = { kekId: id, state }
  if (state === 'active') throw new BrokerError('conflict', `KEK ${id} closes new values: promote another one first`, { detail })
  const busy = live.find(({ wanted, using }) => using === id || wanted === id)
  if (busy === undefined) return
  const what = busy.using === id ? 'still closes new values with it' : 'has it as the current one in its config'
  throw new BrokerError('conflict', `broker ${busy.id} ${what}`, { hint: 'name another KEK as the current one there first', detail })
}

function mustBeUnneeded(facts: KekFacts, record: KekRecord): void {
  const { id, state } = record
  const { safe, reasons } = safetyOf(facts, record)
  if (!safe) {
    throw new BrokerError('conflict', `KEK ${id} is still needed: ${reasons.join('; ')}`, {
      hint: 'keyturn kek rewrap takes rows and backups to the current KEK; keyturn kek status shows what is left',
      detail: { kekId: id, reasons, needs: needsOf(facts, id) },
    })
  }
  if (state === 'compromised') {
    throw new BrokerError('conflict', `KEK ${id} is compromised: it is not retired but destroyed`, {
      hint: `keyturn kek destroy ${id}`,
      detail: { kekId: id, state },
    })
  }
}

/** What a database that cannot be asked would lose is not known, and what is not known is not agreed to. */
function mustKnowAll({ uses }: KekFacts): void {
  const silent = uses.find(({ error }) => error !== undefined)
  if (silent?.error === undefined) return
  throw new BrokerError('unavailable', `${silent.part} cannot be asked what would be lost`, {
    hint: 'try again when it answers',
    cause: silent.error,
  })
}

/** What is lost with a KEK. */
interface Loss {
  /** Values in databases and in backups. */
  readonly loses: number
  readonly needs: Readonly<Record<string, number>>
  readonly databases: Readonly<Record<string, Readonly<Record<string, number>>>>
  readonly backups: readonly string[]
  /** Secrets with versions under it, and of how many it is the current one that is lost. */
  readonly secrets: number
  readonly current: number
  /** Paths of some of those whose current version is lost. */
  readonly paths: readonly string[]
}

const pathsTold = 20

async function lossOf({ parts }: Broker, facts: KekFacts, { id }: KekRecord): Promise<Loss> {
  const needs = needsOf(facts, id)
  const uses = facts.uses.flatMap(({ part, keks = [] }) => keks.filter(use => use.id === id).map(use => [part, use.needs] as const))
  const stores = await Promise.all(parts.map(async part => (await part.open()).losses?.(id, pathsTold)))
  const told = stores.filter(store => store !== undefined)
  return {
    loses: sumOf(needs),
    needs,
    databases: Object.fromEntries(uses.filter(([, counts]) => sumOf(counts) > 0)),
    backups: facts.backups.filter(({ keks }) => (keks[id] ?? 0) > 0).map(backup => backup.id),
    secrets: told.reduce((sum, { secrets }) => sum + secrets, 0),
    current: told.reduce((sum, { current }) => sum + current, 0),
    paths: told.flatMap(({ paths }) => paths).slice(0, pathsTold),
  }
}

function mustBeConfirmed(broker: Broker, facts: KekFacts, record: KekRecord, loss: Loss, wish: DestroyWish): void {
  const { id } = record
  const { confirm, confirmation, loses, principal } = wish
  const bound = JSON.stringify([principal, id, record.state, loss])
  if (confirm === id && loses === loss.loses && confirmation !== undefined && confirms(broker, confirmation, bound, facts.now)) return
  const stale = confirmation === undefined ? '' : ' (what was confirmed is not what would happen now)'
  throw new BrokerError(
    'conflict',
    `destroying KEK ${id} loses ${loss.loses} values for ever, and with them the present value of ${loss.current} secrets${stale}`,
    {
      hint: 'send it again with confirm: the id, loses: that number, and this confirmation, within ten minutes',
      detail: {
        kekId: id,
        ...loss,
        warnings: exposure(facts, record),
        confirmation: newConfirmation(broker, bound, facts.now),
        expires: new Date(facts.now.getTime() + confirmationMs).toISOString(),
      },
    },
  )
}

/** Any broker of the deployment knows it again: `<end>.<random>.<mac>`. Used a second time it finds the KEK destroyed, which is what it asks for. */
function newConfirmation(broker: Broker, bound: string, now: Date): string {
  const end = now.getTime() + confirmationMs
  const head = `${end}.${Buffer.from(broker.random.bytes(12)).toString('base64url')}`
  return `${head}.${macOf(broker, head, bound).toString('base64url')}`
}

function confirms(broker: Broker, confirmation: string, bound: string, now: Date): boolean {
  const [end = '', random = '', mac = ''] = confirmation.split('.')
  if (!(Number(end) > now.getTime())) return false
  const given = Buffer.from(mac, 'base64url')
  const expected = macOf(broker, `${end}.${random}`, bound)
  return given.length === expected.length && timingSafeEqual(given, expected)
}

function macOf({ keys }: Broker, head: string, bound: string): Buffer {
  return createHmac('sha256', keys.idempotency.key).update(`kek-destroy\n${head}\n${bound}`).digest()
}
