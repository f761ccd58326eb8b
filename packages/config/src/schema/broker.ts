import { z } from 'zod'
import { address, path, period, size, text, url } from '../leaves.ts'

/** What `production` refuses unless `broker.allow` names it. */
export const allowances = ['dotenv', 'plaintext-admin', 'demo-keys'] as const
export type Allowance = (typeof allowances)[number]

const auto = z.boolean().optional().meta({ description: 'true or false: makes a new key by itself past the threshold age' })

const hourMs = 3_600_000
const maxAge = period()
  .refine(ms => ms <= 24 * hourMs, { error: 'more than 24 hours', params: { remedy: () => 'write at most 24h' } })
  .default(hourMs)
  .meta({ description: 'how long loaded keys are used while their provider does not answer; at most 24h', examples: ['1h'] })

/** Where the key-encryption keys come from; several may be loaded at once. */
export const keysSchema = z.discriminatedUnion('provider', [
  z.strictObject({
    provider: z.literal('file'),
    folder: path('the folder of the keys', 'keys').optional(),
    auto,
  }),
  z.strictObject({
    provider: z.literal('env'),
    prefix: z
      .string()
      .regex(/^[A-Z][A-Z0-9_]{0,31}$/)
      .default('KEYTURN')
      .meta({ description: 'the prefix of the variables, in capitals', examples: ['KEYTURN'] }),
  }),
  z.strictObject({
    provider: z.literal('vault-transit'),
    address: url('https', 'http'),
    mount: text('the mount of the transit engine', 'transit').default('transit'),
    key: text('the name of the key', 'keyturn'),
    namespace: text('the namespace of the mount', 'admin/payments').optional(),
    token: text('a variable with the token', '$' + '{VAULT_TOKEN}').optional(),
    tokenFile: path('the file of the token; beside role: of the service account token').optional(),
    role: text('the role to log in with, by the method kubernetes').optional(),
    authMount: text('the mount of the method kubernetes', 'kubernetes').default('kubernetes'),
    ca: path('the file of the certificate authority').optional(),
    maxAge,
    auto,
  }),
  z.strictObject({
    provider: z.literal('aws-kms'),
    region: text('the region', 'eu-central-1'),
    key: text('the id, ARN or alias of the key', 'alias/keyturn'),
    endpoint: url('https', 'http').optional(),
    maxAge,
    auto,
  }),
])

/** What may only begin once a bundle of every sealed value is on the disk. */
export const backedUpActs = ['rewrap', 'reencrypt', 'rotate'] as const
/** One of `backedUpActs`. */
export type BackedUpAct = (typeof backedUpActs)[number]

const backupsSchema = z.strictObject({
  folder: path('the folder of the sealed bundles', 'backups').optional(),
  keep: period().optional(),
  before: z
    .array(z.enum(backedUpActs))
    .optional()
    .meta({ description: 'what begins only after a backup: a campaign of that name, a rotation of several secrets; [] for none' }),
})

export const brokerSchema = z.strictObject({
  listen: address().optional(),
  data: path('the folder of ledger, audit file and keys', '.keyturn').optional(),
  ledger: z
    .union([z.literal(''), url('postgres', 'postgresql')])
    .optional()
    .meta({ description: 'postgres://... where several brokers share the work; empty: embedded', examples: ['$' + '{DATABASE_URL:-}'] }),
  keys: keysSchema.optional(),
  backups: backupsSchema.optional(),
  limits: z
    .strictObject({ value: size().optional(), body: size().optional() })
    .optional()
    .meta({ description: 'the most bytes of a value and of a request: { value: 64KiB, body: 1MiB }' }),
  allow: z.array(z.enum(allowances)).optional(),
})
