import { BrokerError, type KekUse, type Pass } from '@keyturn/core'
import { integer, integerOrNull, text, textOrNull } from '../row.ts'
import type { Row, Transaction } from '../sql.ts'
import { kekLock } from './schema-postgres.ts'
import type { SealedTable } from './table.ts'

/** Every KEK that the database knows, by id. Costs a seek a KEK and table, however many rows there are. */
export async function kekUses(tx: Transaction, tables: readonly SealedTable[]): Promise<readonly KekUse[]> {
  const oldest = tables.flatMap(({ name, columns, madeAt }) =>
    madeAt === null ? [] : [`case when ${isNeeded} then (select min(t.${madeAt}) from ${name} t where t.${columns.kekId} = k.id) end`],
  )
  const chosen = oldest.map((seek, index) => `, ${seek} as oldest_${index}`).join('')
  const keks = await tx.rows(`select k.id, k.fingerprint, k.wraps${chosen} from keks k order by k.id`)
  const counts = await tx.rows(`${counted} group by kek_id, part having sum(rows) <> 0 order by kek_id, part`)
  const needs = new Map<string, Record<string, number>>()
  for (const row of counts) {
    const id = text(row, 'kek_id')
    needs.set(id, { ...needs.get(id), [text(row, 'part')]: integer(row, 'envelopes') })
  }
  return keks.map(row => toUse(row, needs.get(text(row, 'id')) ?? {}, oldest.length))
}

// a seek under a KEK that nothing needs any more would pass over all the entries that a pass just left dead
const isNeeded = '(select sum(rows) from kek_rows r where r.kek_id = k.id) > 0'

const counted = 'select kek_id, part, cast(sum(rows) as bigint) as envelopes from kek_rows'

function toUse(row: Row, needs: KekUse['needs'], times: number): KekUse {
  const made = Array.from({ length: times }, (_, index) => integerOrNull(row, `oldest_${index}`)).filter(time => time !== null)
  return {
    id: text(row, 'id'),
    // noted from a row, before any broker that holds it has come by
    fingerprint: textOrNull(row, 'fingerprint') ?? '',
    wraps: integer(row, 'wraps'),
    needs,
    oldest: made.length === 0 ? null : new Date(made.reduce((oldest, time) => Math.min(oldest, time))),
  }
}

/** How many rows a pass has before it: of one that re-wraps, those that are not under its KEK. */
export async function rowsToPass(tx: Transaction, { kind, kekId }: Pass): Promise<number> {
  const but = kind === 'rewrap' ? 'where kek_id <> $1' : ''
  const [row] = await tx.rows(`select cast(coalesce(sum(rows), 0) as bigint) as envelopes from kek_rows ${but}`, but === '' ? [] : [kekId])
  return row === undefined ? 0 : integer(row, 'envelopes')
}

/**
 * Forbids new envelopes under a KEK. Whoever closes a value under it at this moment comes first: it holds the KEK's lock to the end of its transaction,
 * and is counted.
 */
export async function retireKek(tx: Transaction, kekId: string): Promise<void> {
  const { database, schema } = tx.dialect
  if (database === 'postgres') await tx.rows(`select pg_advisory_xact_lock(${kekLock('$1::text', schema)})`, [kekId])
  const rows = await tx.rows(`${counted} where kek_id = $1 group by kek_id, part having sum(rows) <> 0 order by part`, [kekId])
  const needs = Object.fromEntries(rows.map(row => [text(row, 'part'), integer(row, 'envelopes')]))
  if (rows.length > 0) {
    throw new BrokerError(
      'conflict',
      `the KEK ${kekId} is needed by ${Object.values(needs).reduce((sum, count) => sum + count, 0)} envelopes`,
      {
        hint: 'change them to another KEK first: keyturn kek rewrap',
        detail: { kekId, needs },
      },
    )
  }
  await tx.change(
    'insert into keks (id, retired_at) values ($1, $2) on conflict (id) do update set retired_at = coalesce(keks.retired_at, excluded.retired_at)',
    [kekId, tx.now],
  )
}
