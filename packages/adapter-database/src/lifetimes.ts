import { BrokerError, type StoreAdapter, type StorePath, type VersionId } from '@keyturn/core'
import type { Transaction } from '@keyturn/sql'
import { mustMatch } from './conditions.ts'
import type { SealedRow, SecretRow } from './rows.ts'
import type { Parts } from './store.ts'
import { etagOf, findVersion, gone, infoOf, mustBeThere } from './versions.ts'
import { makeRoom } from './writer.ts'

type Lifetimes = Required<Pick<StoreAdapter, 'disable' | 'enable' | 'destroy' | 'delete' | 'restore'>> & {
  readonly promote: NonNullable<StoreAdapter['stages']>['promote']
}

/** What becomes of versions and secrets that are there. Each is one transaction that holds the secret from its look to its commit. */
export function lifetimesOf(parts: Parts): Lifetimes {
  const { sql, rows } = parts
  const held = async <T>(
    path: StorePath,
    signal: AbortSignal,
    run: (tx: Transaction, secret: SecretRow | undefined) => Promise<T>,
  ): Promise<T> => {
    signal.throwIfAborted()
    return sql.transaction(async tx => run(tx, await rows.locked(tx, path)))
  }
  const version = (
    path: StorePath,
    id: VersionId,
    signal: AbortSignal,
    run: (tx: Transaction, at: SealedRow, secret: SecretRow) => Promise<unknown>,
  ) =>
    held(path, signal, async (tx, locked) => {
      const secret = mustBeThere(locked, path)
      await run(tx, await findVersion(tx, rows, secret, id), secret)
    })
  return {
    disable: (path, id, { signal }) =>
      version(path, id, signal, (tx, at, secret) => {
        mustNotBeCurrent(at, path, 'disabled')
        return tx.change('update versions set disabled = 1 where secret = $1 and number = $2', [secret.number, at.number])
      }),
    enable: (path, id, { signal }) =>
      version(path, id, signal, (tx, at, secret) => {
        if (at.kekId === null) {
          throw new BrokerError('precondition_failed', `version ${id} of ${path} is destroyed`, { hint: 'write the value anew' })
        }
        return tx.change('update versions set disabled = 0 where secret = $1 and number = $2', [secret.number, at.number])
      }),
    async destroy(path, id, { signal }) {
      await version(path, id, signal, (tx, at, secret) => {
        mustNotBeCurrent(at, path, 'destroyed')
        return tx.change('update versions set kek_id = null, payload = null, wrap = null where secret = $1 and number = $2', [
          secret.number,
          at.number,
        ])
      })
      // a server writes over the place in its own time, which nobody should wait for
      if (sql.dialect.database === 'sqlite') await sql.erase(['versions'])
    },
    promote: (path, { from, to }, { signal }) =>
      version(path, to, signal, async (tx, target, secret) => {
        if (target.label === 'current') return
        const known = await rows.known(tx, secret, null)
        const current = known.find(({ label }) => label === 'current')
        if ((current === undefined ? null : String(current.number)) !== from) {
          throw new BrokerError('conflict', `${path}: version ${from ?? 'none'} is no longer current`, { hint: 'read it again' })
        }
        if (target.kekId === null || target.disabled === 1) {
          const { state } = infoOf(secret, target)
          throw new BrokerError('precondition_failed', `version ${to} of ${path} is ${state} and cannot become current`)
        }
        await makeRoom(tx, secret.number, known)
        await tx.change("update versions set label = 'current' where secret = $1 and number = $2", [secret.number, target.number])
      }),
    delete: (path, { idempotencyKey, ifMatch, signal }) =>
      held(path, signal, async (tx, secret) => {
        if (secret?.deletion === idempotencyKey) return
        const known = secret === undefined || secret.deletedAt !== null ? [] : await rows.known(tx, secret, null)
        if (secret === undefined || !known.some(({ label }) => label === 'current')) throw gone(secret, path)
        mustMatch(path, ifMatch, etagOf(secret))
        await tx.change('update secrets set revision = revision + 1, deleted_at = $1, deletion = $2 where number = $3', [
          tx.now,
          idempotencyKey,
          secret.number,
        ])
      }),
    restore: (path, { signal }) =>
      held(path, signal, async (tx, secret) => {
        if (secret === undefined) throw gone(secret, path)
        if (secret.deletedAt !== null)
          await tx.change('update secrets set revision = revision + 1, deleted_at = null where number = $1', [secret.number])
      }),
  }
}

function mustNotBeCurrent(version: SealedRow, path: StorePath, act: string): void {
  if (version.label !== 'current') return
  throw new BrokerError('precondition_failed', `version ${version.number} of ${path} is current and cannot be ${act}`, {
    hint: 'make another version current first',
  })
}
