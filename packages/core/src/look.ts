import { BrokerError, type Classification, type ErrorCode } from './error.ts'
import type { Finding } from './store-adapter.ts'

/** What an adapter's `examine` knows of its backend, for a look that fails. */
export interface Examiner {
  classify(error: unknown): Classification
  /** What to do about an error of this code; `other` is for any that is not named. */
  readonly hints: Readonly<Partial<Record<ErrorCode, string>>> & { readonly other: string }
}

/** One look of an `examine`. A failure to look is itself a finding, with its code; only the caller's own stop is thrown. */
export async function look(
  { classify, hints }: Examiner,
  signal: AbortSignal,
  what: string,
  run: () => Promise<Omit<Finding, 'what'>>,
): Promise<Finding> {
  try {
    return { what, ...(await run()) }
  } catch (error) {
    signal.throwIfAborted()
    const { code } = classify(error)
    const hint = hints[code] ?? hints.other
    if (error instanceof BrokerError) return { ok: false, what, detail: error.message, hint: error.hint ?? hint, code: error.code }
    return { ok: false, what, detail: `${code}: ${error instanceof Error ? error.message : 'an error of no kind'}`, hint, code }
  }
}
