import { secretTypes, strategies } from '@keyturn/core'
import { z } from 'zod'
import { duration, path, period, text, url } from '../leaves.ts'
import { windowSchema } from './rotation.ts'

const probe = z.union([
  z.strictObject({
    http: z.strictObject({
      url: url('https', 'http'),
      method: z.enum(['GET', 'HEAD', 'POST']).default('GET'),
      expect: z.union([z.number().int().min(100).max(599), z.array(z.number().int().min(100).max(599)).min(1)]).default(200),
      header: text('the header that carries the value', 'authorization').optional(),
      scheme: text('what stands before the value in that header', 'Bearer').optional(),
      ca: path('the file of the certificate authority').optional(),
      timeout: period().optional(),
    }),
  }),
  z.strictObject({ sql: text('one statement', 'select 1') }),
  z.strictObject({
    pods: z.strictObject({ namespace: text('a namespace', 'shop'), selector: text('a label selector', 'app=checkout') }),
  }),
])

const consumer = z.strictObject({
  role: text('the role of the readers', 'checkout'),
  confirm: z.enum(['required', 'optional']).default('optional'),
})

export const generateSchema = z.strictObject({
  bytes: z
    .number()
    .int()
    .min(16)
    .max(4096)
    .default(32)
    .meta({ description: 'a whole number of bytes from 16 to 4096', examples: [32] }),
  encoding: z.enum(['base64url', 'base64', 'hex']).default('base64url'),
})

/** What a secret is: one row of `secrets`, under the broker's name. */
export const secretRowSchema = z.strictObject({
  type: z.enum(secretTypes).optional(),
  owner: text('who answers for it', '"@sec-oncall"').optional(),
  labels: z.record(z.string().min(1), z.string()).optional(),
  strategy: z.enum(strategies).optional(),
  issuer: text('the name of an issuer', 'orders-db').optional(),
  every: period().optional(),
  grace: duration().optional(),
  windows: z.array(windowSchema).optional(),
  from: z.array(text('the name of a store', 'vault')).min(1).optional(),
  verify: z.array(probe).optional(),
  consumers: z.array(consumer).optional(),
  derive: text('a template', '"postgres://{username}:{password}@db/app"').optional(),
  of: text('the name of the secret whose fields it uses', 'app/db-credentials').optional(),
  managed: text('who rotates it', 'cert-manager').optional(),
  cache: duration().optional(),
  maxStale: duration().optional(),
  failClosed: z.boolean().optional(),
  generate: generateSchema.optional(),
  renew: z.array(text('the name of a field', 'password')).min(1).optional(),
  distribute: duration().optional(),
  approval: z.boolean().optional(),
  runbook: text('where a person finds what to do', 'https://example.com/runbook').optional(),
})

export type SecretRow = z.output<typeof secretRowSchema>
