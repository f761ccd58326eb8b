import { BrokerError } from '@keyturn/core'
import { classify, hasStatus, innerCode } from './classify.ts'
import type { Bundle, Client } from './client.ts'
import { type Known, ranked } from './version.ts'

/** Finds secrets and versions, and says precisely why one is not to be had. */
export class Lookups {
  readonly #client: Client

  constructor(client: Client) {
    this.#client = client
  }

  /** The current version with its value. */
  async current(path: string, name: string, signal: AbortSignal): Promise<Bundle> {
    try {
      return spelt(path, name, await this.#client.read(name, signal))
    } catch (error) {
      if (classify(error).code === 'not_found') throw await this.gone(path, name, error, signal)
      if (hasStatus(error, 403)) throw await this.#forbidden(path, name, error, signal)
      throw error
    }
  }

  /** Every version, the current one first; `not_found` when there is none. */
  async ranked(path: string, name: string, signal: AbortSignal): Promise<readonly Known[]> {
    const all = await this.all(path, name, signal)
    if (all.length === 0) throw await this.gone(path, name, undefined, signal)
    const { versions, tied } = ranked(all)
    if (tied.length === 1) return versions
    const current = await this.#ofTied(name, tied, signal)
    return [...versions.filter(each => each.version === current), ...versions.filter(each => each.version !== current)]
  }

  /** Every version, in no order; none when the secret is not there, or deleted. */
  async all(path: string, name: string, signal: AbortSignal): Promise<readonly Known[]> {
    try {
      const found: Known[] = []
      for await (const each of this.#client.versions(name, signal)) found.push(spelt(path, name, each))
      return found
    } catch (error) {
      if (classify(error).code === 'not_found') return []
      throw error
    }
  }

  /** Says of a secret that is not there whether it was deleted. */
  async gone(path: string, name: string, cause: unknown, signal: AbortSignal): Promise<BrokerError> {
    try {
      if (!(await this.#client.isDeleted(name, signal))) return this.absent(path, cause)
    } catch (error) {
      signal.throwIfAborted()
      // who may not look among the deleted ones is told what is certain: that it is not there
      if (hasStatus(error, 403)) return this.absent(path, cause)
      throw error
    }
    return new BrokerError('not_found', `azure: ${path} is soft-deleted`, {
      hint: 'restore it, or write a new version',
      detail: { reason: 'soft_deleted' },
      cause,
    })
  }

  absent(path: string, cause: unknown): BrokerError {
    return new BrokerError('not_found', `azure: ${path} does not exist`, { cause })
  }

  /** A vault forbids what is disabled with the same status as what is not allowed; where it does not say which, the list of versions does. */
  async #forbidden(path: string, name: string, error: unknown, signal: AbortSignal): Promise<unknown> {
    const { code } = classify(error)
    const inner = hasStatus(error, 403) ? innerCode(error) : undefined
    if (code !== 'precondition_failed' && inner !== undefined) return error
    const all = await this.all(path, name, signal).catch((other: unknown) => {
      signal.throwIfAborted()
      if (hasStatus(other, 403)) return []
      throw other
    })
    const { versions, tied } = ranked(all)
    const current = tied.find(each => !each.enabled) ?? versions[0]
    const why = inner === 'SecretDisabled' || current?.enabled === false ? 'disabled' : datesOf(current)
    if (why === undefined && code !== 'precondition_failed') return error
    return new BrokerError('precondition_failed', `azure: the current version of ${path} is ${why ?? 'withheld'}`, {
      hint: why === 'disabled' ? 'enable it in azure, or write a new version' : 'write a new version',
      cause: error,
    })
  }

  async #ofTied(name: string, tied: readonly Known[], signal: AbortSignal): Promise<string | undefined> {
    try {
      return (await this.#client.read(name, signal)).version
    } catch (error) {
      // the current one is itself disabled
      if (hasStatus(error, 403)) return tied.find(each => !each.enabled)?.version
      throw error
    }
  }
}

/** Why a version may be withheld for its dates. Azure itself only advises by them. */
function datesOf(known: Known | undefined): string | undefined {
  if (known?.expiresAt !== undefined) return `kept back: it has the end ${known.expiresAt.toISOString()}`
  return known?.notBefore === undefined ? undefined : `kept back: it has the start ${known.notBefore.toISOString()}`
}

/** What is found under a name must have been written under that very name: `A` and `a` are one name for the vault, and two paths here. */
function spelt<T extends Known>(path: string, name: string, found: T): T {
  const kept = found.mark?.name.toLowerCase() === found.name.toLowerCase() ? found.mark.name : found.name
  if (kept === name) return found
  throw new BrokerError('invalid_argument', `azure: ${path} is kept as ${kept}, and azure takes both for one name`, {
    hint: `write ${kept}`,
  })
}
