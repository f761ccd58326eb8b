import { BrokerError } from '@keyturn/core'
import { z } from 'zod'
import type { Kinds } from '../src/kind.ts'

const loaded = () => Promise.resolve(null)

const auth = z.discriminatedUnion('method', [
  z.strictObject({ method: z.literal('token'), token: z.string().optional(), tokenFile: z.string().optional() }),
  z.strictObject({ method: z.literal('approle'), roleId: z.string(), secretIdFile: z.string(), mount: z.string().default('approle') }),
  z.strictObject({
    method: z.literal('kubernetes'),
    role: z.string().min(1),
    tokenFile: z.string().optional(),
    mount: z.string().default('kubernetes'),
  }),
])

/** Kinds for the tests of this package, of the three shapes there are: named paths, a listed file, everything. */
export const testKinds: Kinds = {
  vault: {
    options: z.strictObject({
      address: z.url(),
      auth: auth.optional(),
      mount: z.string().optional(),
      kv: z.union([z.literal(1), z.literal(2)]).optional(),
    }),
    keyed: 'optional',
    holds: 'fields',
    nameOf(path) {
      const name = path.replace(/^[^/]+\/(data\/)?/, '')
      if (name !== path && name !== '') return name
      throw new BrokerError('invalid_argument', `no path of a vault: ${path}`, { hint: 'write mount/data/path' })
    },
    load: loaded,
  },
  dotenv: {
    options: z.strictObject({
      file: z.string().min(1),
      names: z.enum(['same', 'kebab']).default('same'),
      readOnly: z.boolean().optional(),
    }),
    keyed: 'none',
    holds: 'text',
    nameOf: (path, options) => ('names' in options && options.names === 'kebab' ? path.toLowerCase().replaceAll('_', '-') : path),
    unlisted: {
      async paths(options, read) {
        const text = new TextDecoder().decode(await read('file' in options ? String(options.file) : ''))
        return text.split('\n').flatMap(line => /^([A-Za-z_][A-Za-z0-9_]*)=/.exec(line)?.[1] ?? [])
      },
    },
    load: loaded,
  },
  database: {
    options: z.strictObject({ url: z.string().optional() }),
    holds: 'either',
    nameOf: path => path,
    unlisted: 'any',
    load: loaded,
  },
}
