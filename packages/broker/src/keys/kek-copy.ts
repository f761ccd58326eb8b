import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { BrokerError } from '@keyturn/core'
import type { KekRecord } from '@keyturn/ledger'
import { z } from 'zod'
import { writePrivate } from '../private-file.ts'

const file = 'keks.json'

/** What whoever works beside the broker must know of the KEKs: which one closes new values, and those that a provider elsewhere opens. */
export interface KekCopy {
  /** The id of the ledger it belongs to. */
  readonly ledger: string
  readonly current: string
  readonly keks: readonly KekRecord[]
}

const bytes = z.base64().transform(text => Buffer.from(text, 'base64'))
const copy = z.strictObject({
  ledger: z.string().min(1),
  current: z.string().min(1),
  keks: z.array(
    z.strictObject({
      id: z.string().min(1),
      fingerprint: z.string().min(1),
      state: z.enum(['pre-active', 'active', 'deactivated', 'compromised', 'retired']),
      metAt: z.iso.datetime(),
      provider: z.string().min(1),
      key: z.string().min(1),
      bytes,
    }),
  ),
})

/**
 * Leaves it in the data folder: a running broker holds its ledger alone, and what is closed must be readable beside it all the same. It is worth
 * nothing without the provider. A KEK that was destroyed is in no later one.
 */
export function leaveKekCopy(data: string, { ledger, current, keks }: KekCopy): void {
  const wrapped = keks.flatMap(({ id, fingerprint, state, metAt, wrapped }) =>
    wrapped === null || state === 'destroyed'
      ? []
      : [
          {
            id,
            fingerprint,
            state,
            metAt,
            provider: wrapped.provider,
            key: wrapped.key,
            bytes: Buffer.from(wrapped.bytes).toString('base64'),
          },
        ],
  )
  const text = JSON.stringify({ ledger, current, keks: wrapped })
  const path = join(data, file)
  if (existsSync(path) && readFileSync(path, 'utf8') === `${text}\n`) return
  writePrivate(data, file, text)
}

/** Reads it; null before the first start. */
export function readKekCopy(data: string): KekCopy | null {
  const path = join(data, file)
  if (!existsSync(path)) return null
  const { ledger, current, keks } = parsed(path)
  return {
    ledger,
    current,
    keks: keks.map(({ metAt: met, provider, key, bytes, ...rest }) => {
      const metAt = new Date(met)
      return { ...rest, metAt, currentSince: null, stateAt: metAt, changes: [], wrapped: { provider, key, bytes } }
    }),
  }
}

function parsed(path: string): z.output<typeof copy> {
  try {
    return copy.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch (cause) {
    throw new BrokerError('corrupt', `${path} does not parse`, { hint: 'take it away and start the broker: it writes it anew', cause })
  }
}
