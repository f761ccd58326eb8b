import { BrokerError, type LedgerVersion, type Sealer, SecretValue } from '@keyturn/core'

/** Binds a value to its slot without closing it: the simulation looks inside. */
export const plainSealer: Sealer = {
  seal: (slot, value) => ({ kekId: 'k1', payload: value.encode(), wrap: Buffer.from(`${slot.secretId}/${slot.number}/${slot.kind}`) }),
  open(slot, sealed) {
    if (Buffer.from(sealed.wrap).toString() !== `${slot.secretId}/${slot.number}/${slot.kind}`)
      throw new BrokerError('corrupt', 'sealed for another slot')
    return SecretValue.decode(sealed.payload)
  },
}

/** The value in a row of the journal that holds one. */
export function valueIn({ sealed }: LedgerVersion): SecretValue {
  if (sealed === null) throw new Error('nothing sealed in this row')
  return SecretValue.decode(sealed.payload)
}
