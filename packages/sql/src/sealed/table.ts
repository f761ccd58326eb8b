/** A table that holds sealed values, as the passes over its envelopes and the counts of KEKs see it. */
export interface SealedTable {
  readonly name: string
  /** The columns of its primary key, in their order. A first one of whole numbers lets several processes share a pass through the table. */
  readonly key: readonly { readonly column: string; readonly type: 'integer' | 'text' }[]
  /** What envelopes are bound to, as SQL expressions; the table goes by `t`, others by what `join` calls them. */
  readonly slot: { readonly secretId: string; readonly number: string; readonly kind: string }
  /** Another table that `slot` needs: `join secrets s on s.number = t.secret`. */
  readonly join?: string
  /** Null where a row holds no envelope: all three at once. */
  readonly columns: { readonly kekId: string; readonly payload: string; readonly wrap: string }
  /** Columns of text that must be as they were read, beside the KEK and the wrap, for a row to be changed; null counts as a value. */
  readonly guards: readonly string[]
  /** When the envelope was made, in milliseconds; null when the table does not tell. */
  readonly madeAt: string | null
  /** What a row is counted as: an SQL expression of text over the columns of one row, each with this before it. */
  readonly part: (row: string) => string
  /** A row under a KEK that the database does not know: `refused`, or the KEK is `noted` without a fingerprint. */
  readonly unknownKeks: 'refused' | 'noted'
}

/** What stands for `kek_id` and the others where the table has no names of its own for them. */
export const sealedColumnNames: SealedTable['columns'] = { kekId: 'kek_id', payload: 'payload', wrap: 'wrap' }
