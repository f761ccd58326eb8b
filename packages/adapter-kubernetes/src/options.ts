import { z } from 'zod'

/** The keys of a section beside what every store section has. */
export const options = z.strictObject({})

/** The broker's default name of a path. */
export function nameOf(path: string): string {
  return path
}
