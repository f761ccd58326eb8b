import { BrokerError, type Classification, type ErrorCode } from './error.ts'

/**
 * Why a request got no usable answer. `connect`: it was never sent. `cut`: it may have been acted on. `redirect`: it was sent elsewhere, and nobody
 * follows. `foreign`: the answer is not of the server's kind, with its status. `too_large`: nor of a size that it has.
 */
export type TransportFailure = 'connect' | 'cut' | 'redirect' | 'foreign' | 'too_large'

/** A request that got no answer of the server's kind. It carries neither what was sent nor what came back. `Failure` names more kinds where a transport knows some. */
export class TransportError<Failure extends string = TransportFailure> extends Error {
  override readonly name: string = 'TransportError'
  readonly failure: Failure
  readonly status: number | undefined
  readonly retryAfterMs: number | undefined

  constructor(
    failure: Failure,
    message: string,
    more: { readonly status?: number | undefined; readonly retryAfterMs?: number | undefined } = {},
  ) {
    super(message)
    this.failure = failure
    this.status = more.status
    this.retryAfterMs = more.retryAfterMs
  }
}

/** Answers that are not the server's: such a status comes from something between us, or from a server that broke. What is not here tells nothing. */
export const foreignCodes: Readonly<Record<number, ErrorCode>> = {
  429: 'throttled',
  500: 'outcome_unknown',
  502: 'outcome_unknown',
  503: 'unavailable',
  504: 'outcome_unknown',
}

const failureCodes: Readonly<Record<Exclude<TransportFailure, 'foreign'>, ErrorCode>> = {
  connect: 'unavailable',
  cut: 'outcome_unknown',
  // whoever answers so has not acted: a balancer that wants another scheme, a server that stands by
  redirect: 'unavailable',
  too_large: 'corrupt',
}

/** What one adapter adds to, or says otherwise than, the codes of all. */
export interface OwnCodes {
  /** Of its transport's own failures. */
  readonly failures?: Readonly<Record<string, ErrorCode>>
  /** Of statuses without the server's answer. */
  readonly foreign?: Readonly<Record<number, ErrorCode>>
}

/**
 * Names the errors that mean the same with every backend: one that has a code keeps it, a transport's failure has that of its kind, a stop is
 * `cancelled`. Undefined for any other: only the adapter knows it. Pure.
 */
export function classifyAlike(error: unknown, own: OwnCodes = {}): Classification | undefined {
  if (error instanceof BrokerError) return codeWith(error.code, error.retryAfterMs)
  if (error instanceof TransportError) return codeWith(codeOf(error, own), error.retryAfterMs)
  return error instanceof Error && error.name === 'AbortError' ? { code: 'cancelled' } : undefined
}

/** A code with how long to wait, where that is known. */
export function codeWith(code: ErrorCode, retryAfterMs: number | undefined): Classification {
  return retryAfterMs === undefined ? { code } : { code, retryAfterMs }
}

function codeOf({ failure, status = 0 }: TransportError<string>, { failures, foreign }: OwnCodes): ErrorCode {
  if (failure === 'foreign') return { ...foreignCodes, ...foreign }[status] ?? 'corrupt'
  const codes: Readonly<Record<string, ErrorCode>> = { ...failureCodes, ...failures }
  return codes[failure] ?? 'internal'
}
