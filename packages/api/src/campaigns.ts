import { z } from 'zod'
import { component, errorCode, operationId, time, timeOrNull } from './forms.ts'
import { kekId } from './keks.ts'

const counts = { total: z.int().nonnegative(), done: z.int().nonnegative(), skipped: z.int().nonnegative(), failed: z.int().nonnegative() }

/** `GET /admin/v1/secrets/rotation-status/{op_id}` of a pass through every sealed value: what `rotate-all`, `reencrypt-all` and the scrub start. */
export const campaign = component(
  'Campaign',
  z.object({
    op_id: operationId,
    /** `rewrap` renews wraps, `reencrypt` keys and ciphertext of the values as well, `scrub` only opens. */
    kind: z.enum(['rewrap', 'reencrypt', 'scrub']),
    /** `waiting`: see `waiting_for`. `failed`: it went through everything, and some rows could not be opened. */
    state: z.enum(['waiting', 'running', 'done', 'failed', 'aborted']),
    /** `kek`: for one to become current, or for all brokers to use it; `backup`: for the one that is being made first; null: it does not wait. */
    waiting_for: z.enum(['kek', 'backup']).nullable(),
    /** The KEK that it leads to; null for a scrub. */
    target: kekId.nullable(),
    /** What keeps it from going on, or ended it, in words. */
    note: z.string().nullable(),
    ...counts,
    started: time,
    finished: timeOrNull,
    /**
     * The ledger, each store of sealed values by the name of its section, and `backups`: the versions in the bundles that are kept, which `total` and its
     * like beside `note` leave out.
     */
    databases: z.array(z.object({ name: z.string(), ...counts, state: z.enum(['waiting', 'running', 'done', 'failed']) })),
    /** The first rows that could not be opened: never a value. */
    failures: z.array(
      z.object({
        database: z.string(),
        /** Its name; where nobody knows it now, its id. */
        secret: z.string(),
        version: z.string(),
        kek: z.string(),
        code: errorCode,
        detail: z.string().optional(),
      }),
    ),
    /** It is about rows of databases: no secret is an item of it. */
    items: z.array(z.never()).max(0),
  }),
)

export type Campaign = z.infer<typeof campaign>
