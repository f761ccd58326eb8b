import { isRestError } from '@azure/core-rest-pipeline'
import { SecretClient } from '@azure/keyvault-secrets'
import { BrokerError, type Clock, orAbort } from '@keyturn/core'
import { hasStatus } from './classify.ts'
import type { Login } from './login.ts'
import type { Transport } from './transport.ts'
import { TransportError } from './transport-error.ts'
import { type Known, knownOf, type Properties } from './version.ts'

/** The most that the vault gives at once. */
const pageSize = 25
const pollMs = 250
const pollMsMax = 2_000

export interface ClientSettings {
  readonly vault: string
  readonly verifyChallenge: boolean
  readonly transport: Transport
  readonly login: Login
  readonly clock: Clock
}

/** A version with its value. */
export interface Bundle extends Known {
  readonly text: string | undefined
}

/** The long work of the vault, as the SDK watches over it. */
interface Poller {
  isDone(): boolean
  poll(options: { abortSignal: AbortSignal }): Promise<void>
}

/**
 * The requests of a vault that we use, each once: the SDK sends nothing again. Errors are the SDK's or the transport's. Names are names of the vault.
 * https://learn.microsoft.com/rest/api/keyvault/secrets
 */
export class Client {
  readonly #sdk: SecretClient
  readonly #settings: ClientSettings
  readonly #authorised = Promise.withResolvers<void>()
  #isAuthorised = false
  #first: Promise<void> | undefined

  constructor(settings: ClientSettings) {
    const { vault, verifyChallenge, transport, login } = settings
    this.#settings = settings
    this.#sdk = new SecretClient(vault, login, {
      httpClient: transport,
      retryOptions: { maxRetries: 0 },
      disableChallengeResourceVerification: !verifyChallenge,
    })
    transport.whenAuthorised(() => {
      this.#isAuthorised = true
      this.#authorised.resolve()
    })
  }

  /** The current version, or the one asked for. */
  read(name: string, signal: AbortSignal, version?: string): Promise<Bundle> {
    return this.#run(signal, async () => {
      const found = await this.#sdk.getSecret(name, { abortSignal: signal, ...(version === undefined ? {} : { version }) })
      return { ...knownOf(plain(found.properties)), text: found.value }
    })
  }

  /** Adds a version and makes it current. */
  write(
    name: string,
    text: string,
    more: { readonly tags: Record<string, string>; readonly contentType?: string },
    signal: AbortSignal,
  ): Promise<Known> {
    return this.#run(signal, async () =>
      knownOf(plain((await this.#sdk.setSecret(name, text, { ...more, abortSignal: signal })).properties)),
    )
  }

  /** All versions of a secret, in no order. Of one that is not there: none, or the vault's 404. */
  async *versions(name: string, signal: AbortSignal): AsyncIterable<Known> {
    const pages = () => this.#sdk.listPropertiesOfSecretVersions(name, { abortSignal: signal }).byPage({ maxPageSize: pageSize })
    for await (const page of this.#pages(pages, signal)) yield* page.map(each => knownOf(plain(each)))
  }

  /** The names of all secrets, page by page. A write between two pages may repeat one. */
  async *names(signal: AbortSignal, pageSizeMax = pageSize): AsyncIterable<string> {
    const pages = () => this.#sdk.listPropertiesOfSecrets({ abortSignal: signal }).byPage({ maxPageSize: pageSizeMax })
    for await (const page of this.#pages(pages, signal)) yield* page.map(each => each.name)
  }

  /** Withholds a version, or gives it back. */
  async enable(name: string, version: string, enabled: boolean, signal: AbortSignal): Promise<void> {
    await this.#run(signal, () => this.#sdk.updateSecretProperties(name, version, { enabled, abortSignal: signal }))
  }

  /** Soft-deletes, and waits until it shows. */
  async delete(name: string, signal: AbortSignal): Promise<void> {
    await this.#done(await this.#run(signal, () => this.#sdk.beginDeleteSecret(name, { abortSignal: signal })), signal)
  }

  /** Gives a soft-deleted secret back, and waits until it shows; one that is not deleted stays as it is. */
  async recover(name: string, signal: AbortSignal): Promise<void> {
    await this.#done(await this.#run(signal, () => this.#sdk.beginRecoverDeletedSecret(name, { abortSignal: signal })), signal)
  }

  /** Whether a secret is there to be recovered. */
  async isDeleted(name: string, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#run(signal, () => this.#sdk.getDeletedSecret(name, { abortSignal: signal }))
      return true
    } catch (error) {
      if (hasStatus(error, 404)) return false
      throw error
    }
  }

  /** Waits before looking again, longer each time; the answer is the next wait. */
  async pause(ms: number, signal: AbortSignal): Promise<number> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = this.#settings.clock.after(ms, resolve)
    await orAbort(promise, signal).finally(cancel)
    return Math.min(ms * 2, pollMsMax)
  }

  close(): void {
    this.#settings.transport.close()
  }

  async #done(poller: Poller, signal: AbortSignal): Promise<void> {
    let wait = pollMs
    while (!poller.isDone()) {
      wait = await this.pause(wait, signal)
      await this.#run(signal, () => poller.poll({ abortSignal: signal }))
    }
  }

  async *#pages<T>(open: () => AsyncIterableIterator<T>, signal: AbortSignal): AsyncIterable<T> {
    const { transport } = this.#settings
    let pages = open()
    // after an error an iterator of the SDK says that it is done: a later page is not asked for again, or the list would be short
    const first = () => {
      pages = open()
      return pages.next()
    }
    let page = await this.#run(signal, () => transport.within(signal, first))
    while (!page.done) {
      yield page.value
      page = await this.#named(signal, () => transport.within(signal, () => pages.next()))
    }
  }

  /** Once, and once more with another token where the vault refused the first. */
  async #run<T>(signal: AbortSignal, call: () => Promise<T>): Promise<T> {
    signal.throwIfAborted()
    try {
      return await this.#inTurn(signal, () => this.#named(signal, call))
    } catch (error) {
      if (!hasStatus(error, 401)) throw error
      const refused = error.request?.headers.get('authorization')?.replace(/^Bearer /, '')
      if (!this.#settings.login.replaces(refused)) throw error
      return await this.#named(signal, call)
    }
  }

  /**
   * Until the vault has told whom it trusts, one call at a time: the SDK sends its first request without a body to be told, and of several at once it
   * may lose a body.
   */
  async #inTurn<T>(signal: AbortSignal, call: () => Promise<T>): Promise<T> {
    while (!this.#isAuthorised) {
      if (this.#first === undefined) {
        const asked = call()
        const ended = asked.then(nothing, nothing)
        this.#first = Promise.race([ended, this.#authorised.promise]).finally(() => (this.#first = undefined))
        return asked
      }
      await orAbort(this.#first, signal)
    }
    return call()
  }

  /** Names what the SDK throws of its own when an answer is not of the shape that it expects. */
  async #named<T>(signal: AbortSignal, call: () => Promise<T>): Promise<T> {
    try {
      return await call()
    } catch (cause) {
      signal.throwIfAborted()
      if (cause instanceof BrokerError || cause instanceof TransportError) throw cause
      if (isRestError(cause) && cause.statusCode !== undefined) throw cause
      if (cause instanceof Error && /\bchallenge\b/.test(cause.message)) {
        throw new BrokerError('unauthenticated', `azure: ${this.#settings.vault} names another service in its challenge`, {
          hint: 'check the host of the vault: it gets no token',
          cause,
        })
      }
      throw new BrokerError('corrupt', 'azure: the answer is none of a vault', { hint: 'look what answers at this address', cause })
    }
  }
}

function nothing(): void {}

/** The SDK says undefined where we leave out. */
function plain(properties: { readonly [Key in keyof Properties]: Properties[Key] | undefined }): Properties {
  return Object.fromEntries(Object.entries(properties).filter(([, value]) => value !== undefined)) as unknown as Properties
}
