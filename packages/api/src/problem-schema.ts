import { z } from 'zod'
import { component, errorCode } from './forms.ts'

/** The schema of `Problem`. */
export const problem = component(
  'Problem',
  z.object({
    type: z.string().regex(/^urn:keyturn:[a-z_]+$/),
    title: z.string(),
    status: z.int().min(400).max(599),
    detail: z.string(),
    code: errorCode,
    hint: z.string().nullable(),
    requestId: z.string(),
    retryAfter: z.int().positive().optional(),
    particulars: z.record(z.string(), z.unknown()).optional(),
    errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
  }),
)
