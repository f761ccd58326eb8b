import { z } from 'zod'

/** The keys of a section beside what every store section has. */
export const options = z.strictObject({})

/** A text, or fields where the config says `format: json`. */
export const holds = 'text'

/** The broker's default name of a path. */
export function nameOf(path: string): string {
  return path
}
