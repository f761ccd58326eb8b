import type { Clock, Envelopes } from '@keyturn/core'
import type { Keyring } from '@keyturn/envelope'
import type { Ledger } from '@keyturn/ledger'

/** For how long what a process lacks is taken for known. */
const knownMs = 10_000

/** What a process asks before it takes rows. */
export interface AsideParts {
  readonly ledger: Pick<Ledger, 'instances'>
  readonly keyring: Pick<Keyring, 'has'>
  readonly clock: Clock
}

/** Databases whose rows this process leaves to others: they need a KEK that is loaded there and not here, and nothing is to be counted as unreadable that is not. */
export class Asides {
  readonly #parts: AsideParts
  readonly #known = new Map<string, { readonly untilMs: number; readonly aside: Promise<boolean> }>()

  constructor(parts: AsideParts) {
    this.#parts = parts
  }

  of(envelopes: Envelopes): Promise<boolean> {
    const nowMs = this.#parts.clock.now().getTime()
    const known = this.#known.get(envelopes.store)
    if (known !== undefined && nowMs < known.untilMs) return known.aside
    const aside = this.#lacks(envelopes)
    this.#known.set(envelopes.store, { untilMs: nowMs + knownMs, aside })
    aside.catch(() => this.#known.delete(envelopes.store))
    return aside
  }

  async #lacks(envelopes: Envelopes): Promise<boolean> {
    const { keyring, ledger } = this.#parts
    const needed = (await envelopes.keks()).filter(({ needs }) => Object.values(needs).some(rows => rows > 0))
    const absent = needed.filter(({ id }) => !keyring.has(id))
    if (absent.length === 0) return false
    const live = await ledger.instances.live()
    return absent.some(({ id }) => live.some(({ loaded }) => loaded.includes(id)))
  }
}
