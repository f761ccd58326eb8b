import { BrokerError, type Sealed } from '@keyturn/core'
import type { Row, SqlValue } from './sql.ts'

/** Reads a column; `corrupt` when it does not hold what the schema says. */
export function text(row: Row, column: string): string {
  const value = row[column]
  return typeof value === 'string' ? value : unexpected(column)
}

/** As `text`, of a column that may be null. */
export function textOrNull(row: Row, column: string): string | null {
  return row[column] === null ? null : text(row, column)
}

/** Reads a whole number. */
export function integer(row: Row, column: string): number {
  const value = row[column]
  return typeof value === 'number' ? value : unexpected(column)
}

/** As `integer`, of a column that may be null. */
export function integerOrNull(row: Row, column: string): number | null {
  return row[column] === null ? null : integer(row, column)
}

/** Reads milliseconds since 1970. */
export function time(row: Row, column: string): Date {
  return new Date(integer(row, column))
}

/** As `time`, of a column that may be null. */
export function timeOrNull(row: Row, column: string): Date | null {
  return row[column] === null ? null : time(row, column)
}

/** Reads bytes, as a copy of its own. */
export function bytes(row: Row, column: string): Uint8Array {
  const value = row[column]
  return value instanceof Uint8Array ? Uint8Array.from(value) : unexpected(column)
}

/** Reads JSON text. */
export function json(row: Row, column: string): unknown {
  try {
    return JSON.parse(text(row, column))
  } catch {
    return unexpected(column)
  }
}

/** What `kek_id`, `payload` and `wrap` hold; null where they are null. */
export function sealedOrNull(row: Row): Sealed | null {
  if (row.kek_id === null) return null
  return { kekId: text(row, 'kek_id'), payload: bytes(row, 'payload'), wrap: bytes(row, 'wrap') }
}

/** The parameters for `kek_id, payload, wrap`. */
export function sealedColumns(sealed: Sealed | null): readonly SqlValue[] {
  return sealed === null ? [null, null, null] : [sealed.kekId, sealed.payload, sealed.wrap]
}

/** A time as a parameter. */
export function ms(time: Date | null): number | null {
  return time === null ? null : time.getTime()
}

function unexpected(column: string): never {
  throw new BrokerError('corrupt', `the column ${column} does not hold what its schema says`)
}
