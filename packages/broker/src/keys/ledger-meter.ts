import { type Keyring, WrapMeter } from '@keyturn/envelope'
import type { Ledger } from '@keyturn/ledger'

/** Counts wraps in the register of a ledger, for whoever works on it without being a broker: the keys are noted first, or refused as `Keks.meet` does. */
export async function ledgerMeter({ keks }: Pick<Ledger, 'keks'>, keyring: Keyring): Promise<WrapMeter> {
  await keks.meet(keyring.ids.map(id => ({ id, fingerprint: keyring.fingerprint(id) })))
  const meter = new WrapMeter({ add: (id, count) => keks.reserve(id, count) }, 2)
  await meter.ready(keyring.currentId, 2)
  return meter
}
