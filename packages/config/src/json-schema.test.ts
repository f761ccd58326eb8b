import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { testKinds } from '../test/kinds.ts'
import { configJsonSchema, type JsonSchema } from './json-schema.ts'
import { ownSections, storeKinds } from './kind.ts'

const schema = configJsonSchema(testKinds)
const at = (...path: readonly string[]) => path.reduce<JsonSchema>((node, key) => (node[key] ?? {}) as JsonSchema, schema)
const variable = '$'.concat('{NAME}')
// zod reads the schema back, which is the reading that an editor does
const accepts = (value: unknown) => z.fromJSONSchema(JSON.parse(JSON.stringify(schema))).safeParse(value).success

describe('the JSON Schema', () => {
  test('is the same text each time, whatever the order of the kinds', () => {
    const turned = Object.fromEntries(Object.entries(testKinds).reverse())
    expect(JSON.stringify(configJsonSchema(turned))).toBe(JSON.stringify(schema))
  })

  test('has every section of its own and every kind of the build, and no other', () => {
    expect(Object.keys(at('properties')).sort()).toEqual([...ownSections, ...Object.keys(testKinds)].sort())
    expect(storeKinds).toEqual(expect.arrayContaining(Object.keys(testKinds)))
  })

  test('takes a variable wherever a form is wanted', () => {
    const every = at('properties', 'rotation', 'properties', 'every')
    expect(every).toMatchObject({ description: 'a duration of at least a second', anyOf: [{ type: 'string' }, { type: 'string' }] })
  })

  test('accepts what loads', () => {
    expect(accepts({ database: {}, rotation: { every: '30d', types: { jwt: { grace: '1h' } } } })).toBe(true)
    expect(accepts({ vault: { address: variable, secrets: [{ path: 'secret/data/a', key: 'k' }] } })).toBe(true)
    expect(accepts({ 'vault-eu': { kind: 'vault', address: 'https://vault.example.com' } })).toBe(true)
    expect(accepts({ secrets: { a: { type: 'api-key', failClosed: variable } } })).toBe(true)
  })

  test('refuses what does not', () => {
    expect(accepts({ rotation: { evry: '30d' } })).toBe(false)
    expect(accepts({ rotation: { every: '30 days' } })).toBe(false)
    expect(accepts({ secrets: { a: { type: 'api_key' } } })).toBe(false)
    expect(accepts({ rotaton: {} })).toBe(false)
    expect(accepts({ vault: { adress: 'https://vault.example.com' } })).toBe(false)
  })
})
