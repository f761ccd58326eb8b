import { BrokerError, type Finding } from '@keyturn/core'
import { type Keyring, type WrapTally, wrapsSoft } from '@keyturn/envelope'
import type { Rows } from './rows.ts'

/** Refuses with `precondition_failed` a KEK that goes by the id of another one: what that one closed would look damaged. */
export function mustKnow(id: string, fingerprint: string, known: string): void {
  if (fingerprint === known) return
  throw new BrokerError('precondition_failed', `KEK ${id} is not the key that this store knows by that id`, {
    hint: `load the right KEK ${id}, or give the new key an id of its own`,
    detail: { kekId: id },
  })
}

/** The count of wraps of each KEK, in the store itself. */
export function tallyIn(rows: Rows, keyring: Keyring): WrapTally {
  return {
    async add(kekId, count) {
      const fingerprint = keyring.fingerprint(kekId)
      const kek = rows.addWraps(kekId, fingerprint, count)
      if (kek === undefined) throw new BrokerError('internal', 'a count was not returned')
      mustKnow(kekId, fingerprint, kek.fingerprint)
      return kek.wraps
    },
  }
}

/** Which KEKs the store needs, which of them are missing, and which are worn. */
export function examineKeks(rows: Rows, keyring: Keyring): readonly Finding[] {
  return rows.keksInUse().flatMap(({ id, fingerprint, wraps, versions }): Finding[] => {
    const what = `KEK ${id}`
    const closes = `closes ${versions} ${versions === 1 ? 'version' : 'versions'}`
    if (versions > 0 && !keyring.has(id)) {
      return [{ ok: false, what, detail: `not loaded; ${closes}, unreadable until then`, hint: `put KEK ${id} back` }]
    }
    if (keyring.has(id) && keyring.fingerprint(id) !== fingerprint) {
      return [{ ok: false, what, detail: 'another key than the one known by this id', hint: `load the right KEK ${id}` }]
    }
    if (wraps >= wrapsSoft && id === keyring.currentId) {
      return [{ ok: false, what, detail: `used ${wraps} times`, hint: 'make a new KEK and promote it' }]
    }
    return versions > 0 ? [{ ok: true, what, detail: closes }] : []
  })
}
