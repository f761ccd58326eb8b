import { remedies, rotationStates } from '@keyturn/core'
import { z } from 'zod'

/** What a component of the OpenAPI document is called; further members are copied into its JSON Schema. */
export interface ComponentMeta {
  readonly id: string
  readonly [keyword: string]: unknown
}

/** Every schema that has a name in the OpenAPI document. */
export const components = z.registry<ComponentMeta>()

/** Gives a schema its name in the OpenAPI document. */
export function component<T extends z.ZodType>(id: string, schema: T, keywords: Readonly<Record<string, unknown>> = {}): T {
  components.add(schema, { id, ...keywords })
  return schema
}

/** Exactly one of these members must be there: what JSON Schema says where a refinement cannot be seen. */
export const exactlyOne = (...names: string[]) => ({ oneOf: names.map(name => ({ required: [name] })) })

/** RFC 3339, UTC, milliseconds. */
export const time = component('Time', z.iso.datetime({ precision: 3 }), { examples: ['2026-11-20T03:00:00.000Z'] })
export const timeOrNull = time.nullable()
export const seconds = component('Seconds', z.int().nonnegative())
/** Canonical; its full rules are those of `secretName`, which every name of a request goes through. */
export const name = component('Name', z.string().min(1).max(512), { examples: ['payments/stripe'] })
export const secretId = component('SecretId', z.string().regex(/^sec_[0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{26}$/), {
  examples: ['sec_01JD8Z4T5V9QW3R7XK2M6N8P0A'],
})
/** Opaque: the store's own. */
export const version = component('Version', z.string().min(1).max(256), { examples: ['7'] })
export const type = component('Type', z.string().regex(/^[a-z][a-z0-9-]{0,62}$/), { examples: ['api-key'] })
export const labels = component('Labels', z.record(z.string().min(1).max(128), z.string().max(256)), { examples: [{ tier: 'gold' }] })
export const operationId = component('OperationId', z.string().min(1).max(128))
export const cursor = z.string().min(1).max(1024)
export const errorCode = component('ErrorCode', z.enum(Object.keys(remedies) as [keyof typeof remedies])) // the keys are the codes
export const rotationState = component('RotationState', z.enum(rotationStates))

/** A whole number in a query, where everything is text. */
export const countInQuery = (max: number, fallback: number) =>
  z
    .string()
    .regex(/^[1-9]\d{0,5}$/)
    .transform(Number)
    .pipe(z.number().max(max))
    .default(fallback)
