import { BrokerError } from '@keyturn/core'
import type { KekProvider } from '@keyturn/envelope'
import type { Logger } from 'pino'
import { named } from '../exchange.ts'

const destroyMs = 10_000

/** What a provider still holds of KEKs that were destroyed: no broker uses it, and until it is gone the KEK is not. */
export class DestroyedCopies {
  readonly #provider: KekProvider
  readonly #log: Pick<Logger, 'error'>
  #due: ReadonlySet<string> = new Set()
  readonly #left = new Map<string, BrokerError>()

  constructor(provider: KekProvider, log: Pick<Logger, 'error'>) {
    this.#provider = provider
    this.#log = log
  }

  /** Destroyed KEKs that the provider still holds, and why. */
  get left(): ReadonlyMap<string, BrokerError> {
    return this.#left
  }

  /** These were among what the provider gave last. */
  given(ids: readonly string[]): void {
    this.#due = new Set(ids)
    for (const id of this.#left.keys()) if (!this.#due.has(id)) this.#left.delete(id)
  }

  /** Has the provider destroy its copy, if it has one or had one that was just let go of. What does not work is tried again at the next call. */
  async destroy(id: string, wasHeld: boolean): Promise<void> {
    if (!wasHeld && !this.#due.has(id) && !this.#left.has(id)) return
    try {
      if (this.#provider.destroy === undefined) throw byHand(id, this.#provider.kind)
      await this.#provider.destroy(id, AbortSignal.timeout(destroyMs))
      this.#left.delete(id)
      this.#due = new Set([...this.#due].filter(other => other !== id))
    } catch (error) {
      const why = named(error)
      const isNew = this.#left.get(id)?.message !== why.message
      this.#left.set(id, why)
      if (!isNew) return
      this.#log.error(
        { kek: id, code: why.code, why: why.message, hint: why.hint },
        `KEK ${id} was destroyed, and is still where the keys come from`,
      )
    }
  }
}

function byHand(id: string, kind: string): BrokerError {
  return new BrokerError('unsupported', `the provider ${kind} gives it still, and cannot destroy it`, {
    hint: `take KEK ${id} away from where the keys come from, and destroy every copy of it`,
    detail: { kekId: id },
  })
}
