import { z } from 'zod'
import { isEnvironment } from './environment.ts'
import type { Kind, Kinds } from './kind.ts'
import { path } from './leaves.ts'
import { accessSchema } from './schema/access.ts'
import { brokerSchema } from './schema/broker.ts'
import { publishSchema } from './schema/publish.ts'
import { rotationSchema } from './schema/rotation.ts'
import { secretRowSchema } from './schema/secret-row.ts'
import { issuerCommon, storeCommon } from './schema/store-section.ts'
import { alertsSchema, auditSchema, metricsSchema } from './schema/watching.ts'

/** A JSON Schema (draft 2020-12). */
export type JsonSchema = Readonly<Record<string, unknown>>

/** The JSON Schema of a config with these kinds of stores, for editors; made from the types that read the config. Always the same text. */
export function configJsonSchema(kinds: Kinds): JsonSchema {
  const names = Object.keys(kinds).sort()
  const sections = names.flatMap(name => {
    const kind = kinds[name]
    return kind === undefined ? [] : [[name, storeSchema(kind, z.literal(name).optional()).optional()] as const]
  })
  const others = names.flatMap(name => {
    const kind = kinds[name]
    return kind === undefined ? [] : [storeSchema(kind, z.literal(name))]
  })
  const [first, ...rest] = others
  const own = z.object({ ...ownSchemas, ...Object.fromEntries(sections) })
  const whole = first === undefined ? own.strict() : own.catchall(z.union([first, ...rest]))
  const schema = z.toJSONSchema(whole, { io: 'input', unrepresentable: 'any' })
  // what z.toJSONSchema answers is plain JSON
  return { ...(withVariables(schema) as JsonSchema), title: 'Keyturn config' }
}

const included = path('a file to join', 'secrets/vault.yaml')

const ownSchemas = {
  include: z.union([z.array(included), included]).optional(),
  environment: z
    .string()
    .refine(isEnvironment)
    .optional()
    .meta({ description: 'the name of the environment', examples: ['production'] }),
  broker: brokerSchema.optional(),
  secrets: z.record(z.string(), secretRowSchema).optional(),
  issuers: z.record(z.string(), z.looseObject(issuerCommon)).optional(),
  rotation: rotationSchema.optional(),
  publish: z.array(publishSchema).optional(),
  access: accessSchema.optional(),
  audit: auditSchema.optional(),
  alerts: alertsSchema.optional(),
  metrics: metricsSchema.optional(),
}

function storeSchema(kind: Kind, name: z.ZodType) {
  return z.strictObject({ ...storeCommon, ...kind.options.shape, secrets: storeCommon.secrets, kind: name })
}

const variable = { type: 'string', pattern: '\\$\\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\\}' }

// a variable may stand wherever a number, a word or a form of text is wanted
function withVariables(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(withVariables)
  if (typeof schema !== 'object' || schema === null) return schema
  // a plain object of a JSON document
  const node = schema as JsonSchema
  if ('properties' in node || 'items' in node || 'additionalProperties' in node || 'anyOf' in node || 'oneOf' in node || '$defs' in node) {
    return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, mapMember(key, value)]))
  }
  const narrow =
    'enum' in node || 'pattern' in node || 'format' in node || node.type === 'number' || node.type === 'integer' || node.type === 'boolean'
  if (!narrow) return node
  const { description, default: fallback, examples, ...form } = node
  return {
    ...(description === undefined ? {} : { description }),
    ...(fallback === undefined ? {} : { default: fallback }),
    ...(examples === undefined ? {} : { examples }),
    anyOf: [form, variable],
  }
}

function mapMember(key: string, value: unknown): unknown {
  if (key === 'properties' || key === '$defs') {
    return Object.fromEntries(Object.entries(value as JsonSchema).map(([name, each]) => [name, withVariables(each)]))
  }
  const holdsSchemas = key === 'items' || key === 'additionalProperties' || key === 'anyOf' || key === 'oneOf'
  return holdsSchemas ? withVariables(value) : value
}
