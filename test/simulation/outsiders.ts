import type { Rotation, Wish } from '@keyturn/core'

/** What people did in a run, and for which of it a person may have to look at its end. */
export class Outsiders {
  /** Someone had a hand in the store. */
  meddled = false
  leaked = false
  #isRolledBack = false
  #isCalledOff = false

  /** An operator wished this of a rotation. */
  wished(wish: Wish | null, { mode }: Pick<Rotation, 'mode'>): void {
    if (wish === 'rollback') this.#isRolledBack = true
    // the process that rolls back may move the store after the compromise has taken the secret over: then what leaked is served, and nobody replaces it
    if (wish === 'abort' && mode === 'compromise' && this.#isRolledBack) this.#isCalledOff = true
  }

  /** Whether a rotation rests until a person looks, and is right to. */
  excuse({ error, hold, attempts, wakeAt }: Rotation): boolean {
    if (error === null) return false
    if (this.meddled && (attempts >= 8 || wakeAt === null)) return true
    return this.#isCalledOff && hold?.kind === 'needs-attention' && error.message.endsWith('again; it stays valid')
  }
}
