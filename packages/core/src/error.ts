import { inspect } from 'node:util'

/** What a caller may do about an error: correct it, read again first, send it again, or stop. */
export type Remedy = 'fix' | 'reread' | 'retry' | 'stop'

/** Every code with its remedy. A code is added when two callers must act differently, not before. */
export const remedies = {
  invalid_argument: 'fix',
  unauthenticated: 'fix',
  permission_denied: 'fix',
  not_found: 'fix',
  unsupported: 'fix',
  conflict: 'reread',
  /** A request went out and no answer came: it may have happened. The only legal move is to look. */
  outcome_unknown: 'reread',
  throttled: 'retry',
  /** Never reached, or refused before acting: it did not happen. */
  unavailable: 'retry',
  precondition_failed: 'stop',
  too_large: 'fix',
  corrupt: 'stop',
  cancelled: 'stop',
  internal: 'stop',
} as const satisfies Record<string, Remedy>

/** A key of `remedies`. */
export type ErrorCode = keyof typeof remedies

/** What an adapter's `classify` answers about a raw error. */
export interface Classification {
  readonly code: ErrorCode
  readonly retryAfterMs?: number
}

/** What an error may carry beside its code and text. */
export interface BrokerErrorOptions {
  /** What to do, for whoever can act. */
  readonly hint?: string
  readonly retryAfterMs?: number
  /** Machine-readable particulars that a caller may see: names, versions, times; never a value. */
  readonly detail?: Readonly<Record<string, unknown>>
  /** The raw error. Kept for debuggers, never printed: SDK errors carry request bodies. */
  readonly cause?: unknown
}

/** The one error class. `message` is lower case: what, why; names and codes, never a value. */
export class BrokerError extends Error {
  override readonly name = 'BrokerError'
  readonly code: ErrorCode
  readonly hint: string | undefined
  readonly retryAfterMs: number | undefined
  readonly detail: Readonly<Record<string, unknown>> | undefined
  readonly #origin: unknown

  constructor(code: ErrorCode, message: string, options: BrokerErrorOptions = {}) {
    super(message)
    this.code = code
    this.hint = options.hint
    this.retryAfterMs = options.retryAfterMs
    this.detail = options.detail
    this.#origin = options.cause
  }

  get remedy(): Remedy {
    return remedies[this.code]
  }

  /** The raw error behind this one. Not a property called `cause`: loggers and `inspect` print that. */
  get origin(): unknown {
    return this.#origin
  }

  toJSON(): object {
    return { code: this.code, message: this.message, hint: this.hint, detail: this.detail, retryAfterMs: this.retryAfterMs }
  }

  [inspect.custom](): string {
    return `${this.stack ?? this.message} [${this.code}]`
  }
}
