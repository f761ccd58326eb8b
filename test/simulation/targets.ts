import { type Act, SecretValue } from '@keyturn/core'
import type { SimulatedClock } from './clock.ts'
import { fieldOf, SimulatedTarget, TargetError } from './target.ts'

const credential = (username: string, password: string) => SecretValue.fields({ username, password })
const user = (value: SecretValue) => fieldOf(value, 'username')
const password = (value: SecretValue) => fieldOf(value, 'password')

/** A database with two users of one application; the rotation sets the one that is not in use. */
export class TwoUsers extends SimulatedTarget {
  readonly kind = 'two-users'
  readonly overlap = 'two-users'
  readonly #passwords = new Map([
    ['app_a', 'first'],
    ['app_b', 'nobody knows'],
  ])
  #ended = 0

  first(): SecretValue {
    return credential('app_a', 'first')
  }

  accepts(value: SecretValue): boolean {
    return this.#passwords.get(user(value)) === password(value)
  }

  others(than: SecretValue): readonly string[] {
    return [...this.#passwords].filter(([name, text]) => name !== user(than) && !text.startsWith('nobody knows')).map(([name]) => name)
  }

  async draft(_: Act, generated: SecretValue): Promise<SecretValue> {
    return generated.with({ username: user(generated) === 'app_a' ? 'app_b' : 'app_a' })
  }

  async apply(_: Act, pending: SecretValue): Promise<SecretValue> {
    this.mustAccept(password(pending))
    this.onHonour(pending)
    this.#passwords.set(user(pending), password(pending))
    return pending
  }

  async revoke(_: Act, value: SecretValue): Promise<void> {
    if (!this.accepts(value)) return
    this.#ended += 1
    this.#passwords.set(user(value), `nobody knows ${this.#ended}`)
  }
}

/** A user with a password and a retained one, as MySQL's RETAIN CURRENT PASSWORD keeps it. */
export class TwoPasswords extends SimulatedTarget {
  readonly kind = 'two-passwords'
  readonly overlap = 'two-passwords'
  #primary = 'first'
  #retained: string | null = null

  first(): SecretValue {
    return credential('app', 'first')
  }

  accepts(value: SecretValue): boolean {
    return [this.#primary, this.#retained].includes(password(value))
  }

  others(than: SecretValue): readonly string[] {
    return [this.#primary, this.#retained].filter(text => text !== null && text !== password(than)).map(() => 'a password')
  }

  async apply(_: Act, pending: SecretValue, current: SecretValue): Promise<SecretValue> {
    if (this.#primary === password(pending)) return pending
    if (!this.accepts(current)) throw new TargetError('permission_denied', 'login refused')
    this.mustAccept(password(pending))
    this.onHonour(pending)
    this.#retained = this.#primary
    this.#primary = password(pending)
    return pending
  }

  async revoke(_: Act, value: SecretValue): Promise<void> {
    if (this.#primary === password(value) && this.#retained !== null) this.#primary = this.#retained
    if (this.accepts(value) || this.#retained === this.#primary) this.#retained = null
  }
}

/** A vendor that allows two keys an account and shows the secret part once. */
export class TwoKeys extends SimulatedTarget {
  readonly kind = 'two-keys'
  readonly overlap = 'two-keys'
  readonly #keys = new Map([['key-0', { secret: 'first', rotation: null as string | null }]])
  #made = 0

  first(): SecretValue {
    return SecretValue.fields({ id: 'key-0', secret: 'first' })
  }

  accepts(value: SecretValue): boolean {
    return this.#keys.get(fieldOf(value, 'id'))?.secret === fieldOf(value, 'secret')
  }

  others(than: SecretValue): readonly string[] {
    return [...this.#keys.keys()].filter(id => id !== fieldOf(than, 'id'))
  }

  async mint(act: Act): Promise<SecretValue> {
    // the secret part is shown once: a key whose reply was lost is found by its tag and replaced
    for (const [id, key] of this.#keys) if (key.rotation === act.rotation) this.#keys.delete(id)
    if (this.#keys.size >= 2) throw new TargetError('precondition_failed', 'two keys exist already')
    this.#made += 1
    const id = `key-${this.#made}`
    const secret = `secret of ${id}`
    this.#keys.set(id, { secret, rotation: act.rotation })
    return SecretValue.fields({ id, secret })
  }

  async apply(_: Act, pending: SecretValue): Promise<SecretValue> {
    return pending
  }

  async revoke(_: Act, value: SecretValue): Promise<void> {
    if (this.accepts(value)) this.#keys.delete(fieldOf(value, 'id'))
  }
}

/** One user with one password, which sets its own: the moment of the change is the moment the old one ends. */
export class OneUser extends SimulatedTarget {
  readonly kind = 'one-user'
  readonly overlap = 'none'
  #password = 'first'

  first(): SecretValue {
    return credential('app', 'first')
  }

  accepts(value: SecretValue): boolean {
    return password(value) === this.#password
  }

  others(): readonly string[] {
    return []
  }

  async apply(_: Act, pending: SecretValue, current: SecretValue): Promise<SecretValue> {
    if (!this.accepts(current) && !this.accepts(pending)) throw new TargetError('permission_denied', 'login refused')
    this.mustAccept(password(pending))
    this.onHonour(pending)
    this.#password = password(pending)
    return pending
  }

  async revoke(): Promise<void> {}
}

/** Verifiers that accept every published key, and learn of a change only when their cache ends. */
export class KeySet extends SimulatedTarget {
  readonly kind = 'key-set'
  readonly overlap = 'key-set'
  readonly cacheMs = 600_000
  readonly #published = new Map<string, number>([['first', 0]])
  readonly #clock: SimulatedClock

  constructor(clock: SimulatedClock) {
    super()
    this.#clock = clock
  }

  first(): SecretValue {
    return SecretValue.text('first')
  }

  /** Every verifier accepts it, the one whose cache is oldest too. */
  accepts(value: SecretValue): boolean {
    const since = this.#published.get(fieldOf(value))
    return since !== undefined && since + this.cacheMs <= this.#clock.now().getTime()
  }

  others(than: SecretValue): readonly string[] {
    return [...this.#published.keys()].filter(key => key !== fieldOf(than)).map(() => 'a key')
  }

  async apply(_: Act, pending: SecretValue): Promise<SecretValue> {
    this.mustAccept(fieldOf(pending))
    this.onHonour(pending)
    if (!this.#published.has(fieldOf(pending))) this.#published.set(fieldOf(pending), this.#clock.now().getTime())
    return pending
  }

  async revoke(_: Act, value: SecretValue): Promise<void> {
    this.#published.delete(fieldOf(value))
  }
}

/** An authority that certifies a key it is shown, once an order. */
export class Leaf extends SimulatedTarget {
  readonly kind = 'leaf'
  readonly overlap = 'two-keys'
  readonly #issued = new Map([['cert-0', { key: 'first', rotation: '' }]])
  readonly #revoked = new Set<string>()

  first(): SecretValue {
    return SecretValue.fields({ key: 'first', certificate: 'cert-0' })
  }

  accepts(value: SecretValue): boolean {
    const certificate = fieldOf(value, 'certificate')
    return this.#issued.get(certificate)?.key === fieldOf(value, 'key') && !this.#revoked.has(certificate)
  }

  others(than: SecretValue): readonly string[] {
    return [...this.#issued.keys()].filter(name => name !== fieldOf(than, 'certificate') && !this.#revoked.has(name))
  }

  async draft(_: Act, generated: SecretValue): Promise<SecretValue> {
    return SecretValue.fields({ key: fieldOf(generated, 'key') })
  }

  async apply(act: Act, pending: SecretValue): Promise<SecretValue> {
    const key = fieldOf(pending, 'key')
    this.mustAccept(key)
    const before = [...this.#issued].find(([, order]) => order.rotation === act.rotation && order.key === key)
    const name = before?.[0] ?? `cert-${this.#issued.size}`
    if (before === undefined) {
      this.onHonour(pending)
      this.#issued.set(name, { key, rotation: act.rotation })
    }
    return pending.with({ certificate: name })
  }

  async revoke(_: Act, value: SecretValue): Promise<void> {
    const key = fieldOf(value, 'key')
    for (const [name, order] of this.#issued) if (order.key === key) this.#revoked.add(name)
  }
}

/** A vendor's console that only a person can use. */
export class Console extends SimulatedTarget {
  readonly kind = 'console'
  readonly overlap = 'two-keys'
  readonly #keys = new Set(['first'])
  #made = 0

  first(): SecretValue {
    return SecretValue.text('first')
  }

  accepts(value: SecretValue): boolean {
    return this.#keys.has(fieldOf(value))
  }

  others(than: SecretValue): readonly string[] {
    return [...this.#keys].filter(key => key !== fieldOf(than)).map(() => 'a key')
  }

  /** What the person does there. */
  create(): SecretValue {
    this.#made += 1
    const key = `key ${this.#made}`
    this.#keys.add(key)
    return SecretValue.text(key)
  }

  end(keep: SecretValue): void {
    for (const key of this.#keys) if (key !== fieldOf(keep)) this.#keys.delete(key)
  }

  async apply(): Promise<SecretValue> {
    throw new TargetError('unsupported', 'only a person can')
  }

  async revoke(): Promise<void> {
    throw new TargetError('unsupported', 'only a person can')
  }
}
