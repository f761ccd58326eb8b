import type { Envelopes, StorePath } from '@keyturn/core'
import { integer, type Sql, text } from '@keyturn/sql'

/** See `Envelopes.losses`. It looks through all versions: it is asked once in the life of a KEK. */
export function lossesOf(sql: Sql): NonNullable<Envelopes['losses']> {
  const { schema } = sql.dialect
  const under = `from ${schema}versions v join ${schema}secrets s on s.number = v.secret where v.kek_id = $1`
  const current = `v.label = 'current' and s.deleted_at is null`
  return async (kekId, limit) => {
    const [counts] = await sql.rows(
      `select count(distinct v.secret) as secrets, count(case when ${current} then 1 end) as current ${under}`,
      [kekId],
    )
    const rows = await sql.rows(`select s.path ${under} and ${current} order by s.path limit $2`, [kekId, limit])
    return {
      secrets: integer(counts ?? {}, 'secrets'),
      current: integer(counts ?? {}, 'current'),
      // written from a StorePath
      paths: rows.map(row => text(row, 'path') as StorePath),
    }
  }
}
