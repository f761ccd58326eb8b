import type { RouteConfig } from '@hono/zod-openapi'
import { z } from 'zod'
import { components } from '../forms.ts'

type Json = Readonly<Record<string, unknown>>

interface Content {
  readonly [mediaType: string]: { readonly schema: z.ZodType } | undefined
}

/** What is read of a route; `createRoute` gives more. */
type DocumentedRoute = Pick<RouteConfig, 'method' | 'path' | 'operationId' | 'tags' | 'summary' | 'description' | 'security'> & {
  readonly request?: {
    readonly params?: z.ZodObject
    readonly query?: z.ZodType
    readonly headers?: z.ZodObject
    readonly body?: { readonly required?: boolean; readonly content: Content }
  }
  readonly responses: Readonly<Record<string, { readonly description: string; readonly headers?: unknown; readonly content?: Content }>>
}

const refOf = (id: string) => `#/components/schemas/${id}`

/**
 * The OpenAPI 3.1 document of these routes: every parameter, body, answer and problem, with named schemas as components.
 * `server` is the address that callers use.
 */
export function openApiDocument(
  routes: Readonly<Record<string, object>>,
  options: { readonly version: string; readonly server?: string },
): Json {
  const paths: Record<string, Record<string, Json>> = {}
  for (const route of Object.values(routes) as DocumentedRoute[]) {
    paths[route.path] ??= {}
    Object.assign(paths[route.path] as object, { [route.method]: operation(route) }) // the member was made by the line above
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Keyturn',
      version: options.version,
      description: 'A secrets broker with a rotation engine.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    ...(options.server === undefined ? {} : { servers: [{ url: options.server }] }),
    security: [{ token: [] }],
    paths,
    components: {
      schemas: usedSchemas(paths),
      securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'A token of this broker.' } },
    },
  }
}

function operation(route: DocumentedRoute): Json {
  const { params, query, headers, body } = route.request ?? {}
  const parameters = [...parametersOf(params, 'path'), ...parametersOf(query, 'query'), ...parametersOf(headers, 'header')]
  return {
    operationId: route.operationId,
    tags: route.tags,
    summary: route.summary,
    ...(route.description === undefined ? {} : { description: route.description }),
    ...(route.security === undefined ? {} : { security: route.security }),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined ? {} : { requestBody: { required: body.required ?? false, content: contentOf(body.content) } }),
    responses: Object.fromEntries(
      Object.entries(route.responses).map(([status, { description, headers, content }]) => [
        status,
        {
          description,
          ...(headers === undefined ? {} : { headers }),
          ...(content === undefined ? {} : { content: contentOf(content) }),
        },
      ]),
    ),
  }
}

function parametersOf(schema: z.ZodType | undefined, place: 'path' | 'query' | 'header'): Json[] {
  if (schema === undefined) return []
  const { properties = {}, required = [] } = schemaOf(schema) as { properties?: Record<string, Json>; required?: string[] }
  return Object.entries(properties).map(([name, property]) => {
    const { description, ...rest } = property
    const needed = place === 'path' || required.includes(name)
    return { name, in: place, required: needed, ...(description === undefined ? {} : { description }), schema: rest }
  })
}

function contentOf(content: Content): Json {
  return Object.fromEntries(
    Object.entries(content).flatMap(([mediaType, held]) => (held === undefined ? [] : [[mediaType, { schema: schemaOf(held.schema) }]])),
  )
}

function schemaOf(schema: z.ZodType): Json {
  const id = components.get(schema)?.id
  if (id !== undefined) return { $ref: refOf(id) }
  const { $schema, ...rest } = z.toJSONSchema(schema, { io: 'input' })
  return rest
}

/** The named schemas that these paths come to: a schema may be known whose route is not served. */
function usedSchemas(paths: Json): Json {
  const all = namedSchemas()
  const used = new Set<string>()
  const follow = (held: Json): void => {
    for (const [, id = ''] of JSON.stringify(held).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      if (used.has(id)) continue
      used.add(id)
      follow(all[id] as Json) // every reference is to one of them
    }
  }
  follow(paths)
  return Object.fromEntries(Object.entries(all).filter(([id]) => used.has(id)))
}

function namedSchemas(): Json {
  const { schemas } = z.toJSONSchema(components, { io: 'input', uri: refOf, metadata: components })
  return Object.fromEntries(
    Object.entries(schemas).map(([id, schema]) => {
      const { $schema, $id, id: _, ...rest } = schema as Record<string, unknown>
      return [id, rest]
    }),
  )
}
