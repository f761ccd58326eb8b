import type { DumpedSecret, DumpedVersion, Envelopes, SecretId, StorePath } from '@keyturn/core'
import { integer, integerOrNull, type Row, type Sql, sealedOrNull, text, textOrNull, time, timeOrNull } from '@keyturn/sql'

/** Secrets that are looked for at a time. */
const pageSecrets = 256
/** Payloads that are read at a time; one secret is read whole, however large. */
const pageBytes = 4 * 1024 * 1024

/** The secrets from one number to another, each whole in one statement: what a statement sees is of one moment. */
interface Range {
  readonly from: number
  readonly to: number
}

/** See `Envelopes.dump`. */
export function dumpOf(sql: Sql): NonNullable<Envelopes['dump']> {
  return async function* dump({ signal }) {
    let after = 0
    for (;;) {
      signal.throwIfAborted()
      const sizes = await sql.rows(sizesOf(sql), [after, pageSecrets])
      for (const range of rangesOf(sizes)) {
        signal.throwIfAborted()
        yield* secretsIn(await sql.rows(versionsOf(sql), [range.from, range.to]))
        after = range.to
      }
      if (sizes.length < pageSecrets) return
    }
  }
}

/** See `Envelopes.pathOf`. */
export function pathsOf(sql: Sql): NonNullable<Envelopes['pathOf']> {
  return async id => {
    const [row] = await sql.rows(`select path from ${sql.dialect.schema}secrets where id = $1`, [id])
    // written from a StorePath
    return row === undefined ? null : (text(row, 'path') as StorePath)
  }
}

const sizesOf = ({ dialect: { schema } }: Sql) =>
  `select s.number, (select coalesce(sum(length(v.payload)), 0) from ${schema}versions v where v.secret = s.number) as bytes
   from ${schema}secrets s where s.number > $1 order by s.number limit $2`

const versionsOf = ({ dialect: { schema } }: Sql) =>
  `select s.number as secret, s.id, s.path, s.deleted_at, v.number, v.kind, v.label, v.disabled, v.created_at, v.kek_id, v.payload, v.wrap
   from ${schema}secrets s join ${schema}versions v on v.secret = s.number
   where s.number between $1 and $2 order by s.number, v.number`

function* rangesOf(sizes: readonly Row[]): Generator<Range> {
  let range: Range | undefined
  let sum = 0
  for (const row of sizes) {
    const [number, bytes] = [integer(row, 'number'), Number(row.bytes)]
    if (range !== undefined && sum + bytes > pageBytes) {
      yield range
      range = undefined
      sum = 0
    }
    range = { from: range?.from ?? number, to: number }
    sum += bytes
  }
  if (range !== undefined) yield range
}

function* secretsIn(rows: readonly Row[]): Generator<DumpedSecret> {
  for (const versions of Map.groupBy(rows, row => integer(row, 'secret')).values()) {
    const [first] = versions
    if (first === undefined) continue
    yield {
      id: text(first, 'id') as SecretId,
      path: text(first, 'path') as StorePath,
      deletedAt: timeOrNull(first, 'deleted_at'),
      versions: versions.map(versionIn),
    }
  }
}

/** The schema's own checks hold kinds and labels to these words. */
function versionIn(row: Row): DumpedVersion {
  return {
    number: integer(row, 'number'),
    kind: text(row, 'kind') as DumpedVersion['kind'],
    label: textOrNull(row, 'label') as DumpedVersion['label'],
    disabled: integerOrNull(row, 'disabled') === 1,
    createdAt: time(row, 'created_at'),
    sealed: sealedOrNull(row),
  }
}
