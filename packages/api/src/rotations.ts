import { strategies } from '@keyturn/core'
import { z } from 'zod'
import { campaign } from './campaigns.ts'
import {
  component,
  cursor,
  errorCode,
  exactlyOne,
  labels,
  name,
  operationId,
  rotationState,
  seconds,
  secretId,
  time,
  timeOrNull,
  type,
  version,
} from './forms.ts'

const counted = ['due', 'running', 'waiting', 'in_grace', 'failed', 'needs_attention'] as const
const reason = z.string().max(500).default('')
const mode = z.enum(['normal', 'compromise']).default('normal')
const failure = component('Failure', z.object({ code: errorCode, detail: z.string() }))

/** One secret as `rotation/status` shows it. */
export const rotationRow = component(
  'RotationRow',
  z.object({
    secret_id: secretId,
    name,
    type,
    /** One of those that are counted, or `scheduled` (nothing to do yet), or `unscheduled`. */
    state: z.enum([...counted, 'scheduled', 'unscheduled']),
    /** Where its open rotation stands; null: none is open. */
    step: rotationState.nullable(),
    version: version.nullable(),
    previous: version.nullable(),
    grace_until: timeOrNull,
    next_rotation_at: timeOrNull,
    op_id: operationId.nullable(),
    attempts: z.int().nonnegative(),
    next_try_at: timeOrNull,
    error: failure.nullable(),
  }),
)

/** `GET /admin/v1/secrets/rotation/status` */
export const rotationStatus = component(
  'RotationStatus',
  z.object({
    now: time,
    next_scan_at: timeOrNull,
    counts: z.object({
      due: z.int(),
      running: z.int(),
      waiting: z.int(),
      in_grace: z.int(),
      failed: z.int(),
      needs_attention: z.int(),
    }),
    secrets: z.array(rotationRow),
    next: z.string().nullable(),
  }),
)
/** Its query: rows of one state, page by page. */
export const rotationStatusQuery = z.strictObject({ state: z.enum(counted).optional(), cursor: cursor.optional() })

/** `POST /admin/v1/secrets/rotate/{secret_id}`; `grace_override` in seconds may only lengthen. */
export const rotateOne = component('RotateOne', z.strictObject({ reason, mode, grace_override: seconds.optional() }))

const selectors = ['names', 'types', 'labels', 'group', 'read_by', 'all'] as const

/** `POST /admin/v1/secrets/rotate`: exactly one selector. */
export const rotateMany = component(
  'RotateMany',
  z
    .strictObject({
      names: z.array(name).min(1).max(500).optional(),
      types: z.array(type).min(1).max(32).optional(),
      labels: labels.refine(given => Object.keys(given).length > 0, 'needs at least one label').optional(),
      group: z.string().min(1).max(128).optional(),
      read_by: z.string().min(1).max(512).optional(),
      all: z.literal(true).optional(),
      reason,
      mode,
      dry_run: z.boolean().default(false),
      grace_override: seconds.optional(),
    })
    .refine(body => selectors.filter(selector => body[selector] !== undefined).length === 1, `exactly one of ${selectors.join(', ')}`),
  exactlyOne(...selectors),
)

/** What a rotation of the selected secrets would do. */
export const rotationPlan = component(
  'RotationPlan',
  z.object({
    plan: z.array(
      z.object({
        secret_id: secretId,
        name,
        type,
        strategy: z.enum(strategies).nullable(),
        /** `wait`: accepted, and started at `not_before`. `refuse`: it would answer with an error; `why` says which. */
        verdict: z.enum(['rotate', 'wait', 'refuse']),
        why: z.string().nullable(),
        not_before: timeOrNull,
        grace: seconds.nullable(),
      }),
    ),
  }),
)

/** What every long act answers: where to look. */
export const accepted = component('Accepted', z.object({ op_id: operationId, status_url: z.string() }))

/** `POST /admin/v1/secrets/rollback/{secret_id}` and `POST /admin/v1/ops/{op_id}/abort|retry` */
export const reasoned = component('Reasoned', z.strictObject({ reason }))

/** `GET /admin/v1/secrets/rotation-status/{op_id}` of what was started for secrets. */
export const secretsOperation = component(
  'SecretsOperation',
  z.object({
    op_id: operationId,
    kind: z.enum(['rotate', 'rollback']),
    state: z.enum(['running', 'waiting', 'done', 'failed', 'aborted', 'needs_attention']),
    total: z.int(),
    done: z.int(),
    skipped: z.int(),
    failed: z.int(),
    started: time,
    finished: timeOrNull,
    items: z.array(
      z.object({
        name,
        /** null: it could not be started; `error` says why. */
        state: rotationState.nullable(),
        /** What it waits for, in words; null while it goes on by itself. */
        waiting_for: z.string().nullable(),
        version: version.nullable(),
        rotation: z.enum(['running', 'ok', 'aborted', 'rolled-back']).nullable(),
        delivery: z.union([z.enum(['pending', 'complete']), z.object({ reached: z.int(), of: z.int() })]).nullable(),
        revocation: z.enum(['none', 'pending', 'done', 'proven', 'unproven']).nullable(),
        error: failure.nullable(),
      }),
    ),
  }),
)

/** `GET /admin/v1/secrets/rotation-status/{op_id}`: `kind` says which of the two it is. */
export const operation = component('Operation', z.discriminatedUnion('kind', [secretsOperation, campaign]))

export type RotationRow = z.infer<typeof rotationRow>
export type RotationStatus = z.infer<typeof rotationStatus>
export type RotationStatusQuery = z.infer<typeof rotationStatusQuery>
export type RotateOne = z.infer<typeof rotateOne>
export type RotateMany = z.infer<typeof rotateMany>
export type RotationPlan = z.infer<typeof rotationPlan>
export type Accepted = z.infer<typeof accepted>
export type Reasoned = z.infer<typeof reasoned>
export type SecretsOperation = z.infer<typeof secretsOperation>
export type Operation = z.infer<typeof operation>
