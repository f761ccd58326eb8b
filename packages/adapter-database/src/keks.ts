import { BrokerError, type Envelopes, type Finding } from '@keyturn/core'
import { type Keyring, type WrapTally, wrapsSoft } from '@keyturn/envelope'
import { integer, type Sql, text } from '@keyturn/sql'

/** Refuses with `precondition_failed` a loaded KEK that goes by the id of another one: what that one closed would look damaged. */
export async function mustKnowKeks(envelopes: Envelopes, keyring: Keyring): Promise<void> {
  for (const { id, fingerprint } of await envelopes.keks()) if (keyring.has(id)) mustKnow(id, keyring.fingerprint(id), fingerprint)
}

function mustKnow(id: string, fingerprint: string, known: string): void {
  if (fingerprint === known) return
  throw new BrokerError('precondition_failed', `KEK ${id} is not the key that this store knows by that id`, {
    hint: `load the right KEK ${id}, or give the new key an id of its own`,
    detail: { kekId: id },
  })
}

/** The count of wraps of each KEK, in the store itself: a transaction of its own, so that no other one gives a count back. */
export function tallyIn(sql: Sql, keyring: Keyring): WrapTally {
  return {
    async add(kekId, count) {
      const fingerprint = keyring.fingerprint(kekId)
      const [kek] = await sql.transaction(tx =>
        tx.rows(
          `insert into keks (id, fingerprint, wraps) values ($1, $2, $3) on conflict (id) do update
           set wraps = keks.wraps + excluded.wraps, fingerprint = coalesce(keks.fingerprint, excluded.fingerprint) returning fingerprint, wraps`,
          [kekId, fingerprint, count],
        ),
      )
      if (kek === undefined) throw new BrokerError('internal', 'a count was not returned')
      mustKnow(kekId, fingerprint, text(kek, 'fingerprint'))
      return integer(kek, 'wraps')
    },
  }
}

/** Which KEKs the store needs, which of them are missing, and which are worn. */
export async function examineKeks(envelopes: Envelopes, keyring: Keyring): Promise<readonly Finding[]> {
  return (await envelopes.keks()).flatMap(({ id, fingerprint, wraps, needs }): Finding[] => {
    const what = `KEK ${id}`
    const versions = needs.versions ?? 0
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
