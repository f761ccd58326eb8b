/**
 * How many of the wanted versions, oldest first, a history ends with already: what is left of them has to be written behind. A copy that was cut off
 * left the first few; a store that keeps only so many has lost the oldest. The longest overlap counts, and of two equal ones the one that leaves more
 * to write. 0 when what is current there is none of them.
 */
export function kept(there: readonly string[], wanted: readonly string[]): number {
  let best = { count: 0, overlap: 0 }
  for (let count = 1; count <= wanted.length; count++) {
    const overlap = Math.min(there.length, count)
    const isTail = there.slice(there.length - overlap).every((each, at) => each === wanted[count - overlap + at])
    if (overlap > best.overlap && isTail) best = { count, overlap }
  }
  return best.count
}

/** A history in which no version is what the one before it was: such a version says nothing that its neighbour does not. */
export function withoutRepeats<T>(versions: readonly T[], mark: (version: T) => string): readonly T[] {
  return versions.filter((version, at) => {
    const before = versions[at - 1]
    return before === undefined || mark(before) !== mark(version)
  })
}
