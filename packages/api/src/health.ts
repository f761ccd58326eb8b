import { z } from 'zod'
import { component } from './forms.ts'

/** `GET /healthz`: the event loop turns. */
export const health = component('Health', z.object({ status: z.literal('ok') }))

const check = z.enum(['ok', 'unavailable'])

/** `GET /readyz`: 200 when every check is `ok`, else 503. A store that is down is shown, and never turns it red. */
export const readiness = component(
  'Readiness',
  z.object({
    ready: z.boolean(),
    checks: z.object({ config: check, ledger: check, audit: check, kek: check }),
    stores: z.record(z.string(), check),
  }),
)

export type Health = z.infer<typeof health>
export type Readiness = z.infer<typeof readiness>
