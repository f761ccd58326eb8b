/** A copy that shares nothing with the original; its objects and lists are frozen. Dates and bytes, which cannot be, are new. */
export function copy<T>(value: T): T {
  return copied(value) as T
}

function copied(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Date) return new Date(value)
  if (value instanceof Uint8Array) return Uint8Array.from(value)
  if (Array.isArray(value)) return Object.freeze(value.map(copied))
  return Object.freeze(Object.fromEntries(Object.entries(value).map(([key, member]) => [key, copied(member)])))
}
