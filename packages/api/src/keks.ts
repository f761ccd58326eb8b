import { z } from 'zod'
import { component, errorCode, operationId, time } from './forms.ts'

/** The operator's name of a KEK. */
export const kekId = component('KekId', z.string().regex(/^[A-Za-z0-9_-]{1,64}$/), { examples: ['v2'] })
const count = z.int().nonnegative()
const kekState = z.enum(['pre-active', 'active', 'deactivated', 'compromised', 'retired', 'destroyed'])
const reason = z.string().max(500).default('')

/** A KEK as everybody may know it: the key itself is nowhere. */
export const kek = component(
  'Kek',
  z.object({
    /** NIST SP 800-57 part 1 rev. 5, 8. */
    state: kekState,
    /** When it came to this state. */
    since: time,
    /** Whole days since it first became current; null: it never was. */
    age_days: count.nullable(),
    /** Values closed under it, as reserved: at least as many as were. */
    wraps: count,
    /** Kept for ever, so that an old backup can name the key it needs. */
    fingerprint: z.string(),
    /** Envelopes that need it, by what they are: `versions`, `pending`, `journal`, `records`, `backups`. */
    needs: z.record(z.string(), count),
  }),
)

/** A broker that works on this ledger. */
const instance = component(
  'Instance',
  z.object({
    id: z.string(),
    loaded: z.array(kekId),
    wanted: kekId,
    using: kekId,
    seen_at: time,
    started_at: time,
    version: z.string(),
  }),
)

/** `GET /admin/v1/secrets/kek-status` */
export const kekStatus = component(
  'KekStatus',
  z.object({
    /** What closes new values. */
    current: kekId,
    /** What the config of the broker that answers calls current. */
    wanted: kekId,
    /** `waiting 1/3`: so many of the live brokers hold the wanted one. */
    promotion: z.string().regex(/^(done|waiting \d+\/\d+)$/),
    /** Why the broker that answers does not take up what its keys are now; null: it did. It works on with those that it had. */
    refusal: z.string().nullable(),
    /** Held by the broker that answers. */
    loaded: z.array(kekId),
    /** Envelopes under each KEK but the current one, in every database and in every backup that is kept; a KEK that nothing needs stays, with 0. */
    stale_counts: z.record(z.string(), count),
    /** The oldest envelope that needs another KEK than the current one; null: none does. */
    oldest_row: z.object({ kek: kekId, created_at: time }).nullable(),
    instances: z.array(instance),
    /** What runs and may still hold a value under an old KEK. */
    open_ops: z.array(z.object({ op_id: operationId.nullable(), kind: z.string(), state: z.string(), started: time })),
    safe_to_retire: z.record(z.string(), z.object({ safe: z.boolean(), reasons: z.array(z.string()) })),
    /** Whether it is time for another KEK: by age, by use, or because the current one is compromised. */
    due: z.boolean(),
    due_reasons: z.array(z.string()),
    /** What an operator should see to: a KEK that is missing, to be replaced, exposed, or waits for other brokers. */
    findings: z.array(
      z.object({
        ok: z.boolean(),
        what: z.string(),
        name: z.string().optional(),
        detail: z.string().optional(),
        hint: z.string().optional(),
      }),
    ),
    /** Databases that did not answer: the counts are without theirs, and nothing is safe to retire meanwhile. */
    unreachable: z.array(z.object({ part: z.string(), code: errorCode, detail: z.string() })),
    keks: z.record(z.string(), kek),
  }),
)

/** `POST /admin/v1/keks`: a KEK that the provider makes; it is current as soon as every broker holds it. */
export const kekCreate = component('KekCreate', z.strictObject({ id: kekId, reason }))

/** `POST /admin/v1/keks/{kek_id}/retire|compromise` */
export const kekMove = component('KekMove', z.strictObject({ reason }))

/**
 * `POST /admin/v1/keks/{kek_id}/destroy`. Without `confirmation` it is refused with 409, and `particulars` say what would be lost: `loses`, how many
 * values, and `confirmation`, a word that holds for some minutes. A second request with both and the id in `confirm` does it.
 */
export const kekDestroy = component(
  'KekDestroy',
  z.strictObject({
    confirm: z.string().max(64).optional(),
    confirmation: z.string().min(1).max(256).optional(),
    loses: count.optional(),
    reason,
  }),
)

/** What a KEK has come to. `next`, once it is destroyed: what is left to do by hand. */
export const kekMoved = component(
  'KekMoved',
  z.object({ id: kekId, state: kekState, since: time, fingerprint: z.string(), next: z.string().optional() }),
)

export type Kek = z.infer<typeof kek>
export type KekStatus = z.infer<typeof kekStatus>
export type KekCreate = z.infer<typeof kekCreate>
export type KekMove = z.infer<typeof kekMove>
export type KekDestroy = z.infer<typeof kekDestroy>
export type KekMoved = z.infer<typeof kekMoved>
