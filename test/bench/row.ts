/** One measured figure: a median, and what it is of the bare limit measured in the same run. */
export interface Row {
  readonly what: string
  readonly value: number
  readonly unit: string
  readonly ratio?: number
  readonly of?: string
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2
}
