const units: Readonly<Record<string, number>> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 }

/** Bytes of `512B`, `64KiB`, `1MiB`, `2GiB`; undefined for anything else. */
export function sizeBytes(text: string): number | undefined {
  const match = /^(\d{1,9})(B|KiB|MiB|GiB)$/.exec(text)
  const unit = units[match?.[2] ?? '']
  return match === null || unit === undefined ? undefined : Number(match[1]) * unit
}

/** What to write in place of a wrong form; without the text, the general rule. */
export function sizeRemedy(text?: string): string {
  const loose = /^(\d{1,9})\s*([kmg])i?b?$/i.exec(text ?? '')
  if (loose !== null) return `write ${loose[1]}${(loose[2] ?? '').toUpperCase()}iB`
  if (/^\d+$/.test(text ?? '')) return `a unit is missing: write ${text}B or ${text}KiB`
  return 'write a whole number with B, KiB, MiB or GiB, such as 64KiB'
}
