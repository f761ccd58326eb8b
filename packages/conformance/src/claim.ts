import { BrokerError, type ErrorCode, SecretValue } from '@keyturn/core'
import type { Form, StoreHarness } from './harness.ts'

/** A promise that was not kept. The text names the promise, never a value. */
export class BrokenPromise extends Error {
  override readonly name = 'BrokenPromise'
}

/** Fails the check unless the fact holds. */
export function claim(fact: boolean, otherwise: string): asserts fact {
  if (!fact) throw new BrokenPromise(otherwise)
}

/** Waits for a failure and answers with it; anything else, or another code, fails the check. */
export async function claimFails(call: Promise<unknown>, codes: ErrorCode | readonly ErrorCode[], doing: string): Promise<BrokerError> {
  const wanted = typeof codes === 'string' ? [codes] : codes
  const ended = await call.then(() => 'ended well' as const).catch((error: unknown) => error)
  claim(ended !== 'ended well', `${doing} ended well, not with ${wanted.join(' or ')}`)
  if (!(ended instanceof BrokerError)) throw new BrokenPromise(`${doing} failed with something else than a BrokerError`, { cause: ended })
  if (!wanted.includes(ended.code)) {
    throw new BrokenPromise(`${doing} failed with ${ended.code}, not with ${wanted.join(' or ')}`, { cause: ended })
  }
  return ended
}

/** Compares values without printing them. */
export function claimSame(got: SecretValue, wanted: SecretValue, what: string): void {
  claim(got.equals(wanted), `${what} is not the value that was written`)
}

/** The text as a value of this form. */
export function asValue(text: string | Uint8Array, form: Form): SecretValue {
  if (form === 'fields') return SecretValue.fields({ value: text })
  return typeof text === 'string' ? SecretValue.text(text) : SecretValue.bytes(text)
}

let made = 0

/** A plain value that no check used before, in the harness's first form; every store must hold it. */
export function freshValue(harness: StoreHarness): SecretValue {
  return asValue(freshText(), harness.forms[0] ?? 'text')
}

/** Plain text that no check used before. */
export function freshText(): string {
  made += 1
  return `plain-value-${made}`
}

/** A new intent. */
export function intent(): { idempotencyKey: string } {
  return { idempotencyKey: crypto.randomUUID() }
}

/** Everything an iterable gives. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

/** What a call fails with, for a test to look at. One that ends well, or fails with something else than a `BrokerError`, fails the test. */
export async function failure(call: Promise<unknown>): Promise<BrokerError> {
  const ended = await call.then(() => 'ended well' as const).catch((error: unknown) => error)
  if (ended instanceof BrokerError) return ended
  throw new BrokenPromise(ended === 'ended well' ? 'it ended well' : 'it failed with something else than a BrokerError', { cause: ended })
}
