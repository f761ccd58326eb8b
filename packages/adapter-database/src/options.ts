import { z } from 'zod'

export { nameOf } from './names.ts'

/** The section's own keys. */
export const options = z.strictObject({
  file: z
    .string()
    .min(1)
    .regex(/^[^\0]*$/, 'a path holds no NUL')
    .optional()
    .describe('The database file, made at first start. Default: secrets.db in broker.data.'),
})

export type DatabaseOptions = z.output<typeof options>

/** A value stays as it was first written: a text or fields. */
export const holds = 'either'
/** A section that lists nothing takes every name that nobody else does. */
export const unlisted = 'any'
