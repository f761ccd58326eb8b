import { BrokerError, bounded, type Clock } from '@keyturn/core'
import type { Credential, Login } from './credential.ts'
import { StatusError } from './status.ts'
import { Transport } from './transport.ts'

const loginMs = 30_000
/** How long what was read of a credential is used before its files are looked at again. The kubelet replaces a token after 80 % of its life. */
const freshMs = 10_000

export interface SessionPorts {
  readonly credential: Credential
  readonly clock: Clock
  readonly connections: number
  readonly answerMs: number
}

/** A way to the server, and the headers that say who we are. */
export interface Line {
  readonly transport: Transport
  readonly headers: Readonly<Record<string, string>>
}

interface Held extends Line {
  readonly login: Login
  readonly readAt: number
}

/**
 * Holds the login of one section and the connections that belong to it. Callers share one reading of the credential; one that is refused is read
 * anew, once per call. Nothing runs when nobody calls.
 */
export class Session {
  readonly #ports: SessionPorts
  readonly #ending = new Set<Transport>()
  #held: Held | undefined
  #reading: Promise<Held> | undefined
  #renewing: Promise<Held> | undefined
  #closed = false

  constructor(ports: SessionPorts) {
    this.#ports = ports
  }

  /** Runs a call; once more when its credential turns out to be refused and there is another one by now. A refused request was not acted on. */
  async run<T>(signal: AbortSignal, call: (line: Line) => Promise<T>): Promise<T> {
    const held = await this.#current(signal)
    try {
      return await call(held)
    } catch (error) {
      if (!isRefusal(error)) throw error
      const other = await this.#other(held, signal)
      if (other === undefined) throw this.#refused(held, error)
      try {
        return await call(other)
      } catch (again) {
        throw isRefusal(again) ? this.#refused(other, again) : again
      }
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    const open = [...this.#ending, ...(this.#held === undefined ? [] : [this.#held.transport])]
    this.#held = undefined
    await Promise.all(open.map(transport => transport.destroy()))
  }

  async #current(signal: AbortSignal): Promise<Held> {
    signal.throwIfAborted()
    if (this.#closed) throw new BrokerError('cancelled', 'kubernetes: the store was closed')
    const held = this.#held
    if (held !== undefined && this.#now() - held.readAt < freshMs) return held
    this.#reading ??= this.#read(false).finally(() => (this.#reading = undefined))
    const reading = this.#reading
    // a file that is being replaced may be away for a moment: what was good is used until it is refused
    return this.#wait(signal, () => (held === undefined ? reading : reading.catch(() => held)))
  }

  /** What the credential says after a refusal; undefined when it is the same. */
  async #other(used: Held, signal: AbortSignal): Promise<Held | undefined> {
    if (this.#held !== undefined && !isSame(this.#held.login, used.login)) return this.#held
    this.#renewing ??= this.#read(true).finally(() => (this.#renewing = undefined))
    const renewing = this.#renewing
    const other = await this.#wait(signal, () => renewing)
    return isSame(other.login, used.login) ? undefined : other
  }

  async #read(anew: boolean): Promise<Held> {
    const { credential, clock, connections, answerMs } = this.#ports
    const late = () => new BrokerError('unavailable', `kubernetes: ${credential.title} was not there within ${loginMs} ms`)
    const login = await bounded(clock, loginMs, undefined, late, signal => credential.login(signal, anew))
    if (this.#closed) throw new BrokerError('cancelled', 'kubernetes: the store was closed')
    const before = this.#held
    const isKept = before !== undefined && JSON.stringify(before.login.endpoint) === JSON.stringify(login.endpoint)
    const transport = isKept ? before.transport : new Transport({ ...login.endpoint, connections, answerMs })
    if (before !== undefined && !isKept) this.#end(before.transport)
    this.#held = { login, transport, headers: login.headers, readAt: this.#now() }
    return this.#held
  }

  #end(transport: Transport): void {
    this.#ending.add(transport)
    // a call that has just taken it sends its request within this turn
    void new Promise(resolve => setImmediate(resolve))
      .then(() => transport.close())
      .catch(() => undefined)
      .finally(() => this.#ending.delete(transport))
  }

  /** A shared promise, waited for no longer than one caller wants to; it goes on for the others. */
  #wait<T>(signal: AbortSignal, shared: () => Promise<T>): Promise<T> {
    const ended = () => signal.reason ?? new BrokerError('unavailable', 'kubernetes: the login takes too long')
    return bounded(this.#ports.clock, loginMs, signal, ended, shared)
  }

  #refused({ login }: Held, cause: unknown): BrokerError {
    const { title } = this.#ports.credential
    return new BrokerError(
      'unauthenticated',
      `kubernetes: ${login.endpoint.address} does not take ${title}: it ended, or is not known there`,
      {
        cause,
        hint: 'give the section a credential of this cluster; a token may have ended, or be meant for another audience',
      },
    )
  }

  #now(): number {
    return this.#ports.clock.now().getTime()
  }
}

/** Whether the server refuses to know us: nothing was acted on. */
function isRefusal(error: unknown): error is StatusError {
  return error instanceof StatusError && (error.status === 401 || (error.status === 403 && error.tells.has('anonymous')))
}

function isSame(one: Login, other: Login): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}
