import { setTimeout as pause } from 'node:timers/promises'
import { fromWire, type Secret } from '@keyturn/api'
import type { KeyturnClient } from '@keyturn/client'
import { BrokerError } from '@keyturn/core'
import type { Entry } from './entry.ts'

/** What happens where another value is there. */
export const choices = ['fail', 'skip', 'overwrite'] as const
export type IfPresent = (typeof choices)[number]

/** What became of an entry. `written`: made, or with `overwrite` replaced. `same`: it was there already. `skipped`: something was, and nobody looked what. */
export type Outcome = 'written' | 'same' | 'skipped'

/** One try after another, when the broker cannot be reached or asks for patience; then it is said, and the next run goes on. */
const pausesMs = [200, 500, 1000, 2000, 4000]

/** Brings entries into a broker, one call for each that is new. The same entry twice is written once. */
export class Importer {
  readonly #client: KeyturnClient
  readonly #options: { readonly ifPresent: IfPresent; readonly dryRun: boolean; readonly signal: AbortSignal }

  constructor(client: KeyturnClient, options: { readonly ifPresent: IfPresent; readonly dryRun: boolean; readonly signal: AbortSignal }) {
    this.#client = client
    this.#options = options
  }

  /** Errors: `conflict` when another value, type or label is there; those of the broker. */
  async bring(entry: Entry): Promise<Outcome> {
    const { ifPresent, dryRun } = this.#options
    for (const pauseMs of [...pausesMs, null]) {
      try {
        if (dryRun) return await this.#look(entry)
        return await this.#write(entry, { mustBeNew: true })
      } catch (error) {
        if (!(error instanceof BrokerError)) throw error
        // a conflict that names a version is about what is there; any other is about something that runs
        if (error.code === 'conflict' && error.detail?.current !== undefined) {
          if (ifPresent === 'skip') return 'skipped'
          const after = await this.#meet(entry)
          if (after !== 'again') return after
        } else if (pauseMs === null || !isPassing(error)) throw error
        else await this.#wait(Math.max(pauseMs, error.retryAfterMs ?? 0))
      }
    }
    throw new BrokerError('conflict', `${entry.name} is written by somebody else again and again`)
  }

  /** What to do about a value that is there; `again` when it went away meanwhile. */
  async #meet(entry: Entry): Promise<Outcome | 'again'> {
    const there = await this.#find(entry)
    if (there === null) return 'again'
    const differs = differenceOf(entry, there)
    if (differs === null) return 'same'
    // a death of the broker may have come between a value and what is said of it
    if (differs !== 'unfinished' && this.#options.ifPresent !== 'overwrite') throw conflict(entry, there, differs)
    if (this.#options.dryRun) return 'written'
    return this.#write(entry, { ifVersion: there.version }).catch((error: unknown) => {
      if (error instanceof BrokerError && error.code === 'conflict' && error.detail?.current !== undefined) return 'again'
      throw error
    })
  }

  async #look(entry: Entry): Promise<Outcome> {
    if (this.#options.ifPresent === 'skip') {
      return (await this.#find(entry)) === null ? 'written' : 'skipped'
    }
    const after = await this.#meet(entry)
    return after === 'again' ? 'written' : after
  }

  async #find({ name }: Entry): Promise<Secret | null> {
    try {
      return await this.#client.get(name)
    } catch (error) {
      if (error instanceof BrokerError && error.code === 'not_found') return null
      throw error
    }
  }

  async #write({ name, body }: Entry, condition: { readonly mustBeNew?: true; readonly ifVersion?: string }): Promise<Outcome> {
    const { value, fields = {}, ...about } = body
    await this.#client.set(name, { ...(value === undefined ? { fields } : { value }), ...defined(about) }, condition)
    return 'written'
  }

  async #wait(ms: number): Promise<void> {
    await pause(ms, undefined, { signal: this.#options.signal }).catch((cause: unknown) => {
      throw new BrokerError('cancelled', 'stopped waiting for the broker', { cause })
    })
  }
}

/** An outcome that is not known is looked at by writing again: the condition tells what came of it. */
function isPassing({ code }: BrokerError): boolean {
  return code === 'unavailable' || code === 'throttled' || code === 'outcome_unknown'
}

/** In what they differ; `unfinished`: what is there lacks only a type or labels. Null: in nothing that the entry says. */
function differenceOf({ value, body }: Entry, there: Secret): string | null {
  if (!fromWire(there).equals(value)) return 'another value'
  const { type = there.type, labels = there.labels } = body
  const labelsDiffer = !sameLabels(labels, there.labels)
  if (type !== there.type && there.type !== untyped) return `the same value as type ${there.type}`
  if (labelsDiffer && Object.keys(there.labels).length > 0) return 'the same value with other labels'
  return type !== there.type || labelsDiffer ? 'unfinished' : null
}

/** What a secret is called that nobody gave a type. */
const untyped = 'generic'

function sameLabels(one: Readonly<Record<string, string>>, other: Readonly<Record<string, string>>): boolean {
  const names = Object.keys(one)
  return names.length === Object.keys(other).length && names.every(name => Object.hasOwn(other, name) && one[name] === other[name])
}

function conflict({ name }: Entry, { version }: Secret, differs: string): BrokerError {
  return new BrokerError('conflict', `${name} is there with ${differs} (version ${version})`)
}

function defined<T extends object>(about: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  // what is left out is undefined here, and must not be sent
  return Object.fromEntries(Object.entries(about).filter(([, held]) => held !== undefined)) as never
}
