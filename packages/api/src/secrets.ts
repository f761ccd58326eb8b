import { z } from 'zod'
import { component, countInQuery, cursor, exactlyOne, labels, name, seconds, secretId, time, timeOrNull, type, version } from './forms.ts'
import { limits } from './limits.ts'
import { problem } from './problem-schema.ts'

const stages = ['current', 'previous', 'pending'] as const
const field = z.string().min(1).max(256)

/** One field: text, or base 64 where its bytes are not UTF-8. */
export const wireField = component('Field', z.union([z.string(), z.strictObject({ base64: z.base64() })]))
/** Named fields, at least one. */
export const fields = component(
  'Fields',
  z.record(z.string().min(1).max(256), wireField).refine(given => Object.keys(given).length > 0, 'a value needs at least one field'),
)

const oneValue = (body: { value?: unknown; fields?: unknown }) => (body.value === undefined) !== (body.fields === undefined)

/** `GET /v1/secrets/{name}`: one version of a secret, with its value. */
export const secret = component(
  'Secret',
  z
    .object({
      name,
      version,
      /** `older`: asked for by its id, neither current nor in grace. */
      stage: z.enum([...stages, 'older']),
      type,
      labels,
      value: wireField.optional(),
      fields: fields.optional(),
      createdAt: time,
      /** The previous version, and until when it stays valid. */
      grace: z.object({ version, until: time }).nullable(),
      rotatesAt: timeOrNull,
      /** Seconds for which the answer may be kept. */
      ttl: z.int().nonnegative(),
      /** Of a name with several stores or with `maxStale`: the store that the value was read from, how many seconds ago, and whether no store answers now. */
      source: z.string().optional(),
      age: seconds.optional(),
      stale: z.boolean().optional(),
    })
    .refine(oneValue, 'either value or fields'),
  exactlyOne('value', 'fields'),
)

/** Its query: one field only, and either a stage or a version. */
export const secretQuery = z
  .strictObject({
    stage: z.enum(stages).optional(),
    version: version.optional(),
    field: field.optional(),
  })
  .refine(query => query.stage === undefined || query.version === undefined, 'either stage or version')

/** `PUT /v1/secrets/{name}`; `fields` replaces the whole set. */
export const secretWrite = component(
  'SecretWrite',
  z
    .strictObject({ value: wireField.optional(), fields: fields.optional(), type: type.optional(), labels: labels.optional() })
    .refine(oneValue, 'either value or fields'),
  exactlyOne('value', 'fields'),
)
/** The answer to a write: the version that was made. */
export const secretWritten = component('SecretWritten', z.object({ name, version, createdAt: time }))

/** `GET /v1/versions/{name}`: newest first, never a value. */
export const versions = component(
  'Versions',
  z.object({
    name,
    versions: z.array(
      z.object({
        version,
        state: z.enum(['current', 'pending', 'previous', 'older', 'disabled', 'destroyed']),
        createdAt: time,
        graceUntil: timeOrNull,
        store: z.string(),
      }),
    ),
  }),
)

/** `GET /v1/secrets`: sorted by name, only what the caller may list, never a value. */
export const secretList = component(
  'SecretList',
  z.object({
    secrets: z.array(z.object({ id: secretId, name, type, labels, owner: z.string().nullable(), store: z.string().nullable() })),
    next: z.string().nullable(),
  }),
)
/** Its query: below a prefix, page by page. */
export const secretListQuery = z.strictObject({
  prefix: z.string().max(512).optional(),
  limit: countInQuery(limits.listLimitMax, limits.listLimitDefault),
  cursor: cursor.optional(),
})

/** One item of a batch. */
export const batchItem = z
  .strictObject({
    name: z.string(),
    field: field.optional(),
    stage: z.enum(stages).optional(),
    version: version.optional(),
  })
  .refine(item => item.stage === undefined || item.version === undefined, 'either stage or version')
/** `POST /v1/secrets:batch`: each item answers for itself, and one that is not acceptable is refused by itself. */
export const batch = component('Batch', z.strictObject({ items: z.array(batchItem).min(1).max(limits.batchItemsMax) }))
/** The same with items that nobody looked at yet. */
export const batchOfAny = z.strictObject({ items: z.array(z.unknown()).min(1).max(limits.batchItemsMax) })
/** The answer to it: one item for each, in order; `name` as it was sent, empty where none was. */
export const batchAnswer = component(
  'BatchAnswer',
  z.object({
    items: z.array(
      z.union([
        z.object({ name: z.string(), status: z.literal(200), secret }),
        z.object({ name: z.string(), status: z.int(), error: problem }),
      ]),
    ),
  }),
)

export type { SecretType } from '@keyturn/core'
export type Secret = z.infer<typeof secret>
export type SecretQuery = z.infer<typeof secretQuery>
export type SecretWrite = z.infer<typeof secretWrite>
export type SecretWritten = z.infer<typeof secretWritten>
export type Versions = z.infer<typeof versions>
export type SecretList = z.infer<typeof secretList>
export type SecretListQuery = z.infer<typeof secretListQuery>
export type Batch = z.infer<typeof batch>
export type BatchItem = z.infer<typeof batchItem>
export type BatchAnswer = z.infer<typeof batchAnswer>
