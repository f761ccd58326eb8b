import { strategyTraits } from '@keyturn/core'
import type { Position } from '@keyturn/policy'
import type { Complaints } from './complaint.ts'
import type { Figure, SecretConfig } from './config.ts'
import { formatDuration } from './duration.ts'
import type { Row } from './secret-rows.ts'
import { renderPath } from './tree.ts'

/** Says where a complaint about a secret belongs: at the key that causes it, else at the row. */
class RowTeller {
  readonly #row: Row
  readonly #complaints: Complaints

  constructor(row: Row, complaints: Complaints) {
    this.#row = row
    this.#complaints = complaints
  }

  at(key: string): Position | undefined {
    return this.#row.tree.entries.get(key)?.at
  }

  error(key: string | null, message: string, remedy: string): void {
    const at = (key === null ? undefined : this.at(key)) ?? this.#row.at
    this.#complaints.error(at, renderPath(['secrets', this.#row.name, ...(key === null ? [] : [key])]), message, remedy)
  }

  /** At the figure itself, wherever it comes from. */
  figure(figure: Figure, key: string, message: string, remedy: string): void {
    const path = figure.source === 'row' ? ['secrets', this.#row.name, key] : ['secrets', this.#row.name]
    this.#complaints.error(figure.at ?? this.#row.at, renderPath(path), message, remedy)
  }
}

/** Refuses what no rotation could keep: a promise that is impossible is refused when it is read, not when it is broken. */
export function refuseImpossible(secret: SecretConfig, row: Row, complaints: Complaints): void {
  const tell = new RowTeller(row, complaints)
  if (row.given.derive !== undefined || row.given.managed !== undefined) {
    refuseRotated(row, tell)
    return
  }
  if (row.given.of !== undefined) tell.error('of', 'of without derive', 'write derive: with a template, or remove of')
  if (secret.strategy === null) {
    refuseUnscheduled(row, tell)
    refuseCache(secret, tell)
    return
  }
  refuseSchedule(secret, tell)
  refuseCache(secret, tell)
  refuseStrategy(secret, row, tell)
  refuseFields(secret, row, tell)
}

const rotated = ['strategy', 'issuer', 'every', 'generate', 'renew', 'windows', 'approval', 'distribute'] as const

function refuseRotated(row: Row, tell: RowTeller): void {
  const what = row.given.derive === undefined ? 'managed' : 'derived'
  const why = what === 'derived' ? 'it changes with the secret it is made of' : 'somebody else rotates it'
  if (row.given.derive !== undefined && row.given.managed !== undefined) {
    tell.error('managed', 'a derived secret is managed by nobody', 'remove managed or derive')
  }
  if (row.given.derive !== undefined && row.given.of === undefined) {
    tell.error('derive', 'derive without of', 'write of: with the name of the secret whose fields it uses')
  }
  for (const key of rotated) {
    if (row.given[key] !== undefined) tell.error(key, `a ${what} secret has no ${key}: ${why}`, `remove ${key}`)
  }
}

function refuseUnscheduled(row: Row, tell: RowTeller): void {
  for (const key of ['every', 'windows', 'issuer', 'renew'] as const) {
    if (row.given[key] === undefined) continue
    tell.error(key, `a generic secret is never scheduled, so ${key} has no meaning`, 'give it another type, such as type: api-key')
  }
  if (row.given.generate !== undefined) {
    tell.error('generate', 'a random value is made only by a strategy', 'write strategy: generated, or remove generate')
  }
}

function refuseSchedule(secret: SecretConfig, tell: RowTeller): void {
  const { every, grace } = secret
  const traits = secret.strategy === null ? undefined : strategyTraits[secret.strategy]
  if (secret.type === 'generic' && tell.at('every') !== undefined) {
    tell.error('every', 'a generic secret is never scheduled', 'give it another type, such as type: service-token')
  }
  if (traits?.grace === false && grace.ms > 0) {
    const message = `${secret.strategy} ends the old credential at once, so a grace of ${formatDuration(grace.ms)} cannot be kept`
    tell.figure(grace, 'grace', message, 'write grace: 0s in its row, or take a strategy with two credentials')
  }
  if (traits?.grace === false && secret.rules.windows.length === 0) {
    const message = `${secret.strategy} interrupts its readers, so it needs a window`
    tell.error('strategy', message, 'write windows: [{ allow: "0 2 * * 1-5", for: 3h, timeZone: Europe/Berlin }]')
  }
  if (every === null || traits === undefined || traits.keySet || every.ms > grace.ms) return
  const message = `a rotation every ${formatDuration(every.ms)} would end a grace of ${formatDuration(grace.ms)} before its time`
  const where = grace.source === 'row' || every.at === null ? grace : every
  tell.figure(where, where === grace ? 'grace' : 'every', message, `write every above ${formatDuration(grace.ms)}, or a shorter grace`)
}

function refuseCache(secret: SecretConfig, tell: RowTeller): void {
  if (tell.at('cache') === undefined || secret.cacheMs <= secret.grace.ms) return
  const message = `a cache of ${formatDuration(secret.cacheMs)} would serve the old version after its grace of ${formatDuration(secret.grace.ms)}`
  tell.error('cache', message, `write cache: ${formatDuration(Math.min(30_000, secret.grace.ms))}, or a longer grace`)
}

function refuseStrategy(secret: SecretConfig, row: Row, tell: RowTeller): void {
  const { strategy } = secret
  if (strategy === null) return
  const traits = strategyTraits[strategy]
  if (strategy === 'generated' && row.given.issuer !== undefined) {
    const key = row.given.strategy === undefined ? 'issuer' : 'strategy'
    tell.error(
      key,
      'a generated value is honoured by nobody but its readers, yet an issuer is named',
      'remove issuer, or take a strategy that speaks to it',
    )
  }
  if (traits.needsIssuer && row.given.issuer === undefined) {
    tell.error('strategy', `${strategy} needs an issuer`, 'write issuer: with the name of one of issuers, or strategy: external')
  }
  if (traits.byPerson && row.given.generate !== undefined) {
    const message = `generate makes a random value, but the strategy is ${strategy}: the value comes from a person`
    tell.error('generate', message, 'write strategy: generated, or remove generate')
  }
  if (row.given.distribute !== undefined && !traits.keySet) {
    tell.error('distribute', `only a key set is shown before it is used, and the strategy is ${strategy}`, 'remove distribute')
  }
}

function refuseFields(secret: SecretConfig, row: Row, tell: RowTeller): void {
  const fields = secret.places[0]?.fields
  if (fields === undefined || fields === null) return
  const { renew } = row.given
  const unknown = (renew ?? []).filter(field => !fields.includes(field))
  if (unknown.length > 0) {
    tell.error(
      'renew',
      `no entry names the field ${unknown.join(', ')}`,
      `write ${fields.length === 1 ? fields[0] : `some of ${fields.join(', ')}`}`,
    )
  }
  if (renew === undefined && fields.length > 1) {
    tell.error(
      null,
      `several fields (${fields.join(', ')}), and none is named to change`,
      'write renew: with those of them that a rotation changes',
    )
  }
}
