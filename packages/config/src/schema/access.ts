import { z } from 'zod'
import { path, period, text, url } from '../leaves.ts'

const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'] as const

const kubernetes = z.strictObject({
  audience: text('the audience of the tokens', 'keyturn').optional(),
  address: url('https', 'http').optional(),
  ca: path('the file of the certificate authority').optional(),
  tokenFile: path("the broker's own service account token").optional(),
  jwksUrl: url('https', 'http').optional(),
  jwksFile: path('the keys of the cluster').optional(),
  issuer: text('the issuer of the tokens').optional(),
})

const jwt = z
  .strictObject({
    issuer: text('the issuer', 'https://token.actions.githubusercontent.com'),
    audience: text('the audience', 'keyturn'),
    algorithms: z.array(z.enum(algorithms)).min(1).optional(),
    jwksUrl: url('https', 'http').optional(),
    jwksFile: path('the keys of the issuer').optional(),
    principal: text('the claim that names the caller', 'sub').optional(),
    claims: z.record(z.string(), z.string()).optional(),
  })
  .superRefine((issuer, context) => {
    if ((issuer.jwksUrl === undefined) !== (issuer.jwksFile === undefined)) return
    const params = { remedy: () => 'write one of jwksUrl and jwksFile' }
    context.addIssue({ code: 'custom', message: 'the keys of this issuer come from one place', params })
  })

/** How callers say who they are. */
export const authenticationSchema = z.strictObject({
  kubernetes: kubernetes.optional(),
  jwt: z.array(jwt).optional(),
  tokens: z.strictObject({ maxTtl: period().optional(), enabled: z.boolean().optional() }).optional(),
  mtls: z
    .strictObject({
      ca: path('the authority of the clients'),
      cert: path("the broker's certificate"),
      keyFile: path("the broker's key"),
      principal: z.enum(['san', 'subject']).default('san'),
    })
    .optional(),
})

// the schema that editors use; what the rules mean is judged by the policy itself
const words = z.array(z.string()).min(1).optional()
const rule = z.strictObject({
  types: words,
  secrets: words,
  labels: z.record(z.string(), z.string()).optional(),
  actions: words,
})
const role = z.strictObject({ allow: z.array(rule).optional(), deny: z.array(rule).optional() })
const binding = z.strictObject({ role: z.string(), serviceAccounts: words, tokens: words })
const test = z.strictObject({ as: z.string(), action: z.string(), secret: z.string(), expect: z.enum(['allow', 'deny']) })

/** The keys of `access` that the policy reads. */
export const policyKeys = ['roles', 'bindings', 'tests'] as const

export const accessSchema = z.strictObject({
  authentication: authenticationSchema.optional(),
  roles: z.record(z.string(), role).optional(),
  bindings: z.array(binding).optional(),
  tests: z.array(test).optional(),
  policies: z.array(path('policies in HCL, * for all of a folder', '../../policies/*.hcl')).optional(),
})
