import { z } from 'zod'

export { nameOf } from './names.ts'

/** The section's own keys. */
export const options = z
  .strictObject({
    url: z
      .string()
      .regex(/^$|^postgres(ql)?:\/\//, 'write postgres://user:password@host:5432/database, or nothing')
      .optional()
      .describe(
        'PostgreSQL, schema keyturn_store: postgres://user:password@host:5432/database. Empty or left out: embedded. Verified TLS but to this machine.',
      ),
    file: z
      .string()
      .min(1)
      .regex(/^[^\0]*$/, 'a path holds no NUL')
      .optional()
      .describe('The file of an embedded store, made at first start. Default: secrets.db in broker.data.'),
  })
  .refine(({ url = '', file }) => url === '' || file === undefined, {
    message: 'the store is in PostgreSQL (url) or in a file (file), not in both',
    path: ['file'],
  })

/** A section, and what every section may have: the text of `ca`, and how many calls run at once, which are as many connections. */
export type DatabaseOptions = z.output<typeof options> & { readonly ca?: string; readonly maxInFlight?: number }

/** A value stays as it was first written: a text or fields. */
export const holds = 'either'
/** A section that lists nothing takes every name that nobody else does. */
export const unlisted = 'any'
