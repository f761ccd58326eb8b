import type { Journal, SecretName } from '@keyturn/core'

/** A journal that tells of every change of a secret's versions, so that nobody is answered from memory what is no longer so. */
export function watchedJournal(journal: Journal, changed: (secret: SecretName) => void): Journal {
  return {
    async open(request) {
      const rotation = await journal.open(request)
      changed(request.secret)
      return rotation
    },
    claim: options => journal.claim(options),
    async record(lease, change) {
      try {
        return await journal.record(lease, change)
      } finally {
        if (change.versions !== undefined || change.rotation?.state !== undefined) changed(lease.rotation.secret)
      }
    },
    reserve: lease => journal.reserve(lease),
    wish: (id, wish) => journal.wish(id, wish),
    enter: (id, seal) => journal.enter(id, seal),
    approve: id => journal.approve(id),
    rotation: id => journal.rotation(id),
    versions: secretId => journal.versions(secretId),
    revocations: rotation => journal.revocations(rotation),
    undelivered: rotation => journal.undelivered(rotation),
  }
}
