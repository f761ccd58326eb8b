const shownMax = 12
/** Longer words are no slips, and more than some thousands of candidates are no help: both would only take time. */
const wordMax = 64
const candidatesMax = 2_000

/** The known word that is meant by a misspelt one, if one is near enough to say so. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  if (word.length > wordMax) return undefined
  const allowed = word.length <= 4 ? 1 : word.length <= 8 ? 2 : 3
  let best: { readonly word: string; readonly distance: number } | undefined
  for (const candidate of known.slice(0, candidatesMax)) {
    if (Math.abs(candidate.length - word.length) > allowed) continue
    const distance = candidate.toLowerCase() === word.toLowerCase() ? 0 : editDistance(word, candidate)
    if (distance <= allowed && (best === undefined || distance < best.distance)) best = { word: candidate, distance }
  }
  return best?.word
}

/** What to write in place of a word that is not known: the nearest one, else all of them. */
export function instead(word: string, known: readonly string[]): string {
  const near = nearest(word, known)
  if (near !== undefined) return `did you mean ${near}?`
  return known.length === 0 ? 'remove it' : `known here: ${listed(known)}`
}

/** A list of words for a sentence, cut where it gets long. */
export function listed(words: readonly string[]): string {
  if (words.length <= shownMax) return words.join(', ')
  return `${words.slice(0, shownMax).join(', ')} and ${words.length - shownMax} more`
}

// optimal string alignment: a swap of two neighbours, the commonest slip, counts as one
function editDistance(a: string, b: string): number {
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let cost = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, (before[j - 2] ?? 0) + 1)
      row.push(cost)
    }
    before = last
    last = row
  }
  return last[b.length] ?? 0
}
