import { z } from 'zod'
import { address, duration, path, period, text, url, word } from '../leaves.ts'

const sink = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('webhook'),
    url: z
      .union([z.literal(''), url('https', 'http')])
      .meta({ description: 'where records are posted; empty: nowhere', examples: ['https://audit.example.com/records'] }),
    token: text('a variable with the bearer token').optional(),
    tokenFile: path('the file of the bearer token').optional(),
    ca: path('the file of the certificate authority').optional(),
    timeout: period().optional(),
  }),
  z.strictObject({ kind: z.literal('postgres'), url: url('postgres', 'postgresql'), table: text('the table', 'keyturn_audit').optional() }),
  z.strictObject({ kind: z.literal('stdout') }),
])

/** The record of who did what. */
export const auditSchema = z.strictObject({
  file: path('the audit file', 'audit.jsonl').optional(),
  anchor: z
    .strictObject({
      file: path('a file on another disk').optional(),
      url: url('https', 'http').optional(),
      every: period().optional(),
    })
    .optional(),
  sinks: z.array(sink).optional(),
})

/** The catalogue of events that a person may have to hear of. */
export const alertEvents = [
  'unauthorized_access',
  'rotation_failed',
  'overdue',
  'stuck',
  'grace_ending',
  'kek_due',
  'scheduler_silent',
  'store_down',
  'audit_degraded',
] as const

const routeCommon = { name: word('the name of the route'), events: z.array(z.enum(alertEvents)).min(1).optional() }

const route = z.discriminatedUnion('kind', [
  z.strictObject({
    ...routeCommon,
    kind: z.literal('webhook'),
    url: url('https', 'http'),
    token: text('a variable with the bearer token').optional(),
    tokenFile: path('the file of the bearer token').optional(),
  }),
  z.strictObject({ ...routeCommon, kind: z.literal('stdout') }),
])

const step = z.strictObject({
  level: z
    .number()
    .int()
    .min(1)
    .max(9)
    .meta({ description: 'a whole number from 1', examples: [1] }),
  after: duration().optional(),
  to: z.array(text('owner, or the name of a route', 'owner')).min(1),
})

export const alertsSchema = z.strictObject({
  routes: z.array(route).optional(),
  escalation: z.array(step).optional(),
  refusals: z
    .strictObject({ count: z.number().int().min(1).default(10), within: period().optional() })
    .optional()
    .meta({ description: 'how many refused attempts in what time are told' }),
})

export const metricsSchema = z.strictObject({
  enabled: z.boolean().optional(),
  listen: address().optional(),
})
