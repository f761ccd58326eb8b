import type { Random } from '@keyturn/core'
import { EnvelopeSealer, type Keyring, type WrapMeter } from '@keyturn/envelope'
import type { Sealing } from './outcomes.ts'

/** What opens and closes the rows of any database, by its id: one keyring and one count of wraps for all of them. */
export function sealings(parts: {
  readonly keyring: Keyring
  readonly random: Random
  readonly meter: WrapMeter
}): (store: string) => Sealing {
  const { keyring, random, meter } = parts
  const made = new Map<string, Sealing>()
  return store => {
    const known = made.get(store)
    if (known !== undefined) return known
    const sealing: Sealing = {
      sealer: new EnvelopeSealer({ keyring, random, store, meter }),
      holds: id => keyring.has(id),
      ready: (id, count) => meter.ready(id, count),
    }
    made.set(store, sealing)
    return sealing
  }
}
