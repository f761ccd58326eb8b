import { resolve } from 'node:path'
import { BrokerError, type OpenContext, type StoreAdapter, type StorePath, type VersionId } from '@keyturn/core'
import { EnvelopeSealer, type Keyring, WrapMeter } from '@keyturn/envelope'
import { classify } from './classify.ts'
import { type Client, openClient } from './client.ts'
import { examinePath, examineStore } from './examine.ts'
import { mustKnow, tallyIn } from './keks.ts'
import type { DatabaseOptions } from './options.ts'
import { openRows, type Rows } from './rows.ts'
import { find, findVersion, gone, infoOf, type Place, unsealed } from './versions.ts'
import { openWriter, type Writer } from './writer.ts'

/** The most bytes of a sealed plaintext: what a request to the broker may carry. */
const valueBytesMax = 1_048_576
const pageRows = 256

/** Everything that the operations of one open store share. */
export interface Parts {
  readonly client: Client
  readonly rows: Rows
  readonly keyring: Keyring
  readonly sealer: EnvelopeSealer
  readonly meter: WrapMeter
  readonly context: OpenContext
}

/**
 * Opens Keyturn's own store: one SQLite file of sealed versions, held by one process. Refused with `precondition_failed`: a file that is
 * open elsewhere, is no store, is newer than this build, or knows a loaded KEK's id with another key. A KEK that is missing is not
 * refused: what it closed is `unavailable`, everything else works, and `examine` tells it.
 */
export async function open(
  options: DatabaseOptions,
  context: OpenContext,
  { keyring }: { readonly keyring: Keyring },
): Promise<StoreAdapter> {
  return openOn(openClient(resolve(context.data, options.file ?? 'secrets.db'), context.random), context, keyring)
}

/** As `open`, on a file that is open already; closes it when it is refused. */
export function openOn(client: Client, context: OpenContext, keyring: Keyring): StoreAdapter {
  try {
    const rows = openRows(client.database)
    for (const { id, fingerprint } of rows.keksInUse()) if (keyring.has(id)) mustKnow(id, keyring.fingerprint(id), fingerprint)
    const store = rows.storeId()?.id
    if (store === undefined) throw new BrokerError('corrupt', `${client.file} has lost its id`, { hint: 'restore it from a backup' })
    const meter = new WrapMeter(tallyIn(rows, keyring))
    const sealer = new EnvelopeSealer({ keyring, random: context.random, store, meter })
    return adapterOf({ client, rows, keyring, sealer, meter, context })
  } catch (error) {
    client.close()
    throw error
  }
}

function adapterOf(parts: Parts): StoreAdapter {
  const { client, rows } = parts
  const writer = openWriter(parts)
  return {
    kind: 'database',
    guarantees: { cas: true, idempotent: true, valueBytesMax },
    async read(path, { version, signal }) {
      signal.throwIfAborted()
      if (version !== undefined) {
        const secret = find(rows, path)
        return unsealed(parts.sealer, secret, findVersion(rows, secret, version))
      }
      const current = rows.current(path)
      if (current === undefined) throw gone(rows, path)
      return unsealed(parts.sealer, { path, id: current.id, revision: current.revision }, current)
    },
    write: (path, value, options) => writer.add('write', path, value, options),
    async *list(prefix, { signal }) {
      let after = ''
      for (;;) {
        signal.throwIfAborted()
        const page = rows.paths(prefix, after, pageRows)
        for (const { path } of page) {
          // the paths of a prefix stand together: the first one outside ends it
          if (!path.startsWith(prefix)) return
          signal.throwIfAborted()
          yield path as StorePath
          after = path
        }
        if (page.length < pageRows) return
      }
    },
    refuses: value => (value.encode().byteLength > valueBytesMax ? `it is larger than ${valueBytesMax} bytes as it is kept` : undefined),
    async examine(path, { signal }) {
      signal.throwIfAborted()
      return path === null ? examineStore(parts) : examinePath(parts, path)
    },
    classify,
    async close() {
      client.close()
    },
    stages: { stage: (path, value, options) => writer.add('stage', path, value, options), promote: writer.promote },
    async *versions(path, { signal }) {
      const secret = find(rows, path)
      let before = Number.MAX_SAFE_INTEGER
      for (;;) {
        signal.throwIfAborted()
        const page = rows.history(secret.number, before, pageRows)
        for (const version of page) {
          yield infoOf(secret, version)
          before = version.number
        }
        if (page.length < pageRows) return
      }
    },
    ...lifetimesOf(parts, writer),
  }
}

function lifetimesOf({ client, rows }: Parts, writer: Writer): Pick<StoreAdapter, 'disable' | 'enable' | 'destroy' | 'delete' | 'restore'> {
  const notCurrent = (path: StorePath, version: VersionId, act: string) => {
    const secret = find(rows, path)
    const found = findVersion(rows, secret, version)
    if (found.label !== 'current') return { secret, found }
    throw new BrokerError('precondition_failed', `version ${version} of ${path} is current and cannot be ${act}`, {
      hint: 'make another version current first',
    })
  }
  return {
    async disable(path, version, { signal }) {
      signal.throwIfAborted()
      const { secret, found } = notCurrent(path, version, 'disabled')
      client.transaction(() => rows.withhold(1, secret.number, found.number))
    },
    async enable(path, version, { signal }) {
      signal.throwIfAborted()
      const secret = find(rows, path)
      const found = findVersion(rows, secret, version)
      if (found.payload === null) throw destroyed(secret, version)
      client.transaction(() => rows.withhold(0, secret.number, found.number))
    },
    async destroy(path, version, { signal }) {
      signal.throwIfAborted()
      const { secret, found } = notCurrent(path, version, 'destroyed')
      client.transaction(() => rows.destroy(secret.number, found.number))
      client.checkpoint()
    },
    delete: writer.remove,
    restore: writer.restore,
  }
}

function destroyed({ path }: Place, version: VersionId): BrokerError {
  return new BrokerError('precondition_failed', `version ${version} of ${path} is destroyed`, { hint: 'write the value anew' })
}
