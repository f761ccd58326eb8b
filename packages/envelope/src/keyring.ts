import { hkdfSync, type KeyObject } from 'node:crypto'
import { inspect } from 'node:util'
import { BrokerError } from '@keyturn/core'
import { keyBytes } from './aead.ts'
import { mustBeKekId } from './kek-text.ts'

/** What a keyring holds at a time. */
export interface KeyringContent {
  /** By id. Several at once: old rows stay readable while their KEK is loaded. */
  readonly keks: ReadonlyMap<string, KeyObject>
  /** The id of the one that is to close new values: what the operator wants. */
  readonly current: string
}

/**
 * The KEKs that this process holds, one of them current. `load` swaps the whole content at once, so that keys come and go without a
 * restart. It never shows a key: only `encrypt` and `decrypt` get at one.
 */
export class Keyring {
  #content: KeyringContent
  /** The one that closes new values, once somebody said so. */
  #used: string | undefined
  /** Why nothing is loaded; undefined: something is. */
  #unloaded: string | undefined
  /** Why a KEK is not here, of those of which somebody said it. */
  readonly #absent = new Map<string, BrokerError>()
  /** Why a KEK closes nothing more, of those of which somebody said it. */
  readonly #spent = new Map<string, BrokerError>()
  /** Fingerprints by id of every KEK that was ever loaded here. */
  readonly #known = new Map<string, string>()

  /** Refuses with `invalid_argument`: no KEK, a bad id, a key that is not 32 bytes, one key under two ids, a current id that is not loaded. */
  constructor(content: KeyringContent) {
    this.#content = this.#checked(content)
  }

  /**
   * Replaces the content if the new one is good; otherwise throws and keeps the old one. An id that was ever loaded keeps its key: what one
   * key closed under it would look damaged to the other. What `use` named stays in use, and closes nothing while it is not loaded.
   */
  load(content: KeyringContent): void {
    this.#content = this.#checked(content)
    this.#unloaded = undefined
  }

  /** Lets go of every key, until the next `load`. `why` is told to whoever asks for one. */
  unload(why: string): void {
    this.#content = { keks: new Map(), current: this.#content.current }
    this.#unloaded = why
  }

  /**
   * From now on this one closes new values, whichever the content calls current: a KEK takes over when all who share the database hold it.
   * `unavailable` when it is not loaded; then nothing changes.
   */
  use(id: string): void {
    this.kek(id)
    this.#used = id
  }

  /** Lets go of one KEK, if it is loaded; from then on whoever asks for it is told `why`, until a `load` brings it back. */
  drop(id: string, why: BrokerError): void {
    this.#absent.set(id, why)
    if (!this.has(id)) return
    const { keks, current } = this.#content
    this.#content = { keks: new Map([...keks].filter(([other]) => other !== id)), current }
  }

  /** The id of the one that closes new values: what `use` named, else what is wanted. */
  get currentId(): string {
    return this.#used ?? this.wanted
  }

  /** The id of the one that the content calls current. */
  get wanted(): string {
    return this.#content.current
  }

  /** The ids of all loaded KEKs, sorted. */
  get ids(): readonly string[] {
    return [...this.#content.keks.keys()].sort()
  }

  has(id: string): boolean {
    return this.#content.keks.has(id)
  }

  /** The KEK of this id, and no other is ever tried; `unavailable` when it is not loaded. */
  kek(id: string): KeyObject {
    const key = this.#content.keks.get(id)
    if (key !== undefined) return key
    const absent = this.#absent.get(id)
    if (absent !== undefined) throw absent
    throw new BrokerError('unavailable', `KEK ${id} is not loaded${this.#unloaded === undefined ? '' : `: ${this.#unloaded}`}`, {
      hint:
        this.#unloaded === undefined
          ? `put KEK ${id} back: what it closed stays unreadable until then`
          : 'bring the provider of the keys back: they are loaded again by themselves',
      detail: { kekId: id, loaded: this.ids },
    })
  }

  /** From now on this one opens only; whoever would close with it is told `why`. */
  spend(id: string, why: BrokerError): void {
    this.#spent.set(id, why)
  }

  /** As `kek`, of one that is to close something; throws what `spend` said of it. */
  closing(id: string): KeyObject {
    const why = this.#spent.get(id)
    if (why !== undefined) throw why
    return this.kek(id)
  }

  /** Tells two keys apart and tells nothing about them: 32 hex characters that may be kept for ever. `unavailable` when it is not loaded. */
  fingerprint(id: string): string {
    return kekFingerprint(this.kek(id))
  }

  #checked(content: KeyringContent): KeyringContent {
    const fingerprints = fingerprintsOf(content)
    for (const [id, fingerprint] of fingerprints) {
      if ((this.#known.get(id) ?? fingerprint) === fingerprint) continue
      throw new BrokerError('invalid_argument', `KEK ${id} is another key than before`, { hint: 'give the new key an id of its own' })
    }
    for (const [id, fingerprint] of fingerprints) this.#known.set(id, fingerprint)
    return { keks: new Map(content.keks), current: content.current }
  }

  [inspect.custom](): string {
    return `Keyring { current: ${this.currentId}, ids: ${this.ids.join(' ')} }`
  }
}

/** As `Keyring.fingerprint` of a key that is in none. */
export function kekFingerprint(key: KeyObject): string {
  return Buffer.from(hkdfSync('sha256', key, '', 'keyturn/v1/kek-fingerprint', 16)).toString('hex')
}

/** The fingerprints of KEKs that may stand in one keyring; refuses those that may not. */
function fingerprintsOf({ keks, current }: KeyringContent): ReadonlyMap<string, string> {
  if (keks.size === 0)
    throw new BrokerError('invalid_argument', 'no KEK is given', { hint: 'give at least one KEK and name the current one' })
  const ids = new Map<string, string>()
  for (const [id, key] of keks) {
    mustBeKekId(id)
    if (key.symmetricKeySize !== keyBytes) throw new BrokerError('invalid_argument', `KEK ${id} must have ${keyBytes} bytes`)
    const fingerprint = kekFingerprint(key)
    const twin = ids.get(fingerprint)
    if (twin !== undefined) {
      throw new BrokerError('invalid_argument', `KEKs ${twin} and ${id} are the same key`, { hint: 'make a new random key for each id' })
    }
    ids.set(fingerprint, id)
  }
  mustBeKekId(current)
  if (!keks.has(current)) {
    throw new BrokerError('invalid_argument', `the current KEK ${current} is not loaded`, {
      hint: `load KEK ${current}, or name one of: ${[...keks.keys()].sort().join(', ')}`,
      detail: { kekId: current },
    })
  }
  return new Map([...ids].map(([fingerprint, id]) => [id, fingerprint]))
}
