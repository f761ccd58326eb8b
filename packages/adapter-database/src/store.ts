import { BrokerError, type Envelopes, type OpenContext, type StoreAdapter, type StorePath } from '@keyturn/core'
import { EnvelopeSealer, type Keyring, WrapMeter } from '@keyturn/envelope'
import { type Sql, SqlEnvelopes } from '@keyturn/sql'
import { classify } from './classify.ts'
import { type Client, openClient } from './client.ts'
import { dumpOf, pathsOf } from './dump.ts'
import { examinePath } from './examine.ts'
import { examineKeks, mustKnowKeks, tallyIn } from './keks.ts'
import { lifetimesOf } from './lifetimes.ts'
import { lossesOf } from './losses.ts'
import type { DatabaseOptions } from './options.ts'
import { Rows } from './rows.ts'
import { sealedVersions } from './sealed-versions.ts'
import { findVersion, gone, infoOf, mustBeThere, unsealed } from './versions.ts'
import { addVersion } from './writer.ts'

/** The most bytes of a sealed plaintext: what a request to the broker may carry. */
const valueBytesMax = 1_048_576
const pageRows = 256

/** Everything that the operations of one open store share. */
export interface Parts {
  readonly sql: Sql
  readonly rows: Rows
  readonly keyring: Keyring
  readonly sealer: EnvelopeSealer
  readonly meter: WrapMeter
  readonly context: OpenContext
}

/**
 * Opens Keyturn's own store: sealed versions in one SQLite file, held by one process, or in the schema `keyturn_store` of a PostgreSQL server, which
 * several share. Refused with `precondition_failed`: a file that is open elsewhere or is no store, a schema newer than this build, or older where the
 * role may not migrate it, a loaded KEK that the store knows as another key, and in production a server on which a commit may be lost. A KEK that is
 * missing is not refused: what it closed is `unavailable`, everything else works, and `examine` tells it.
 */
export async function open(
  options: DatabaseOptions,
  context: OpenContext,
  { keyring }: { readonly keyring: Keyring },
): Promise<StoreAdapter> {
  return openOn(await openClient(options, context), context, keyring)
}

/** As `open`, on a database that is open already; closes it when it is refused. */
export async function openOn(client: Client, context: OpenContext, keyring: Keyring): Promise<StoreAdapter> {
  const { sql } = client
  try {
    const rows = new Rows(sql.dialect)
    const store = await rows.storeId(sql)
    if (store === undefined) throw new BrokerError('corrupt', `${client.what} has lost its id`, { hint: 'restore it from a backup' })
    const envelopes = new SqlEnvelopes(sql, { store, tables: [sealedVersions] })
    await mustKnowKeks(envelopes, keyring)
    const meter = new WrapMeter(tallyIn(sql, keyring))
    const sealer = new EnvelopeSealer({ keyring, random: context.random, store, meter })
    return adapterOf(client, envelopes, { sql, rows, keyring, sealer, meter, context })
  } catch (error) {
    await sql.close()
    throw error
  }
}

/** A pass may lead to a KEK that closed nothing here yet: it is noted first, or the schema would refuse every row. */
function begunBy({ meter, keyring }: Parts, envelopes: SqlEnvelopes): Envelopes['begin'] {
  const begin = envelopes.begin.bind(envelopes)
  return async pass => {
    if (pass.kekId !== null && keyring.has(pass.kekId)) await meter.ready(pass.kekId)
    return begin(pass)
  }
}

function adapterOf(client: Client, envelopes: SqlEnvelopes, parts: Parts): StoreAdapter {
  const { sql, rows, sealer } = parts
  const { promote, ...lifetimes } = lifetimesOf(parts)
  return {
    kind: 'database',
    guarantees: { cas: true, idempotent: true, valueBytesMax },
    envelopes: Object.assign(envelopes, {
      dump: dumpOf(sql),
      losses: lossesOf(sql),
      pathOf: pathsOf(sql),
      begin: begunBy(parts, envelopes),
    }),
    async read(path, { version, signal }) {
      signal.throwIfAborted()
      if (version !== undefined) {
        const secret = mustBeThere(await rows.secret(sql, path), path)
        return unsealed(sealer, secret, await findVersion(sql, rows, secret, version))
      }
      const current = await rows.current(sql, path)
      if (current === undefined) throw gone(await rows.secret(sql, path), path)
      return unsealed(sealer, current.secret, current.version)
    },
    write: (path, value, options) => addVersion(parts, { act: 'write', path, value, options }),
    async *list(prefix, { signal }) {
      let after = ''
      for (;;) {
        signal.throwIfAborted()
        const page = await rows.paths(sql, prefix, after, pageRows)
        for (const path of page) {
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
      if (path !== null) return examinePath(parts, path)
      return [...(await client.examine()), ...(await examineKeks(envelopes, parts.keyring))]
    },
    classify,
    close: () => sql.close(),
    stages: { stage: (path, value, options) => addVersion(parts, { act: 'stage', path, value, options }), promote },
    async *versions(path, { signal }) {
      const secret = mustBeThere(await rows.secret(sql, path), path)
      let before = Number.MAX_SAFE_INTEGER
      for (;;) {
        signal.throwIfAborted()
        const page = await rows.history(sql, secret, before, pageRows)
        for (const version of page) {
          yield infoOf(secret, version)
          before = version.number
        }
        if (page.length < pageRows) return
      }
    },
    ...lifetimes,
  }
}
