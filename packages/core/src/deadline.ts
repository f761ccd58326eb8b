import type { BrokerError } from './error.ts'
import type { Clock } from './ports.ts'

/** How a bounded call ended when it did not end by itself. */
export type Ended = 'deadline' | 'cancelled'

/**
 * Runs `call` with a signal that fires after `ms` or when the caller's own signal does, and stops waiting then even if the
 * call ignores its signal. The error says which it was: `ended` turns that into the right code.
 */
export async function bounded<T>(
  clock: Clock,
  ms: number,
  caller: AbortSignal | undefined,
  ended: (how: Ended) => BrokerError,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (caller?.aborted) throw ended('cancelled')
  const controller = new AbortController()
  let stop: (how: Ended) => void = () => undefined
  const stopped = new Promise<never>((_, reject) => {
    stop = how => {
      const error = ended(how)
      reject(error)
      controller.abort(error)
    }
  })
  const cancel = clock.after(ms, () => stop('deadline'))
  const onAbort = () => stop('cancelled')
  caller?.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([call(controller.signal), stopped])
  } finally {
    cancel()
    caller?.removeEventListener('abort', onAbort)
  }
}

/**
 * A promise that several callers share, waited for no longer than one of them wants to: it goes on for the others. Fails with the signal's own
 * reason.
 */
export async function orAbort<T>(shared: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  let onAbort: () => void = () => undefined
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    return await Promise.race([shared, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
