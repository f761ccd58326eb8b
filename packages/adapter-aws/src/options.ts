import { z } from 'zod'
import { regionForm } from './names.ts'

export { nameOf } from './names.ts'

/** One text, or fields where the config says `format: json`. */
export const holds = 'text'

const text = z.string().min(1)
const file = text
const roleArn = z
  .string()
  .regex(/^arn:aws[a-z-]*:iam::\d{12}:role\/[\w+=,.@/-]+$/, 'a role is its ARN, as in arn:aws:iam::123456789012:role/keyturn')
/** https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html */
const sessionName = z
  .string()
  .regex(/^[\w+=,.@-]{2,64}$/, 'a session name has 2 to 64 letters, digits and _+=,.@-')
  .default('keyturn')

/** `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`. */
const environment = z.strictObject({ method: z.literal('environment') })
const profile = z.strictObject({
  method: z.literal('profile'),
  /** Default: `AWS_PROFILE`, else `default`. */
  name: text.optional(),
  /** Default: the credentials and config files where AWS's tools look for them. */
  file: file.optional(),
})
const webIdentity = z.strictObject({
  method: z.literal('web-identity'),
  /** Default: `AWS_ROLE_ARN`. */
  roleArn: roleArn.optional(),
  /** Default: `AWS_WEB_IDENTITY_TOKEN_FILE`. It is read again at each refresh. */
  tokenFile: file.optional(),
  sessionName,
})
/** ECS, and EKS Pod Identity: `AWS_CONTAINER_CREDENTIALS_FULL_URI` or `_RELATIVE_URI`. */
const container = z.strictObject({ method: z.literal('container') })
/** The role of an EC2 instance, by IMDSv2. */
const instance = z.strictObject({ method: z.literal('instance') })
const fixed = z.strictObject({
  method: z.literal('static'),
  accessKeyId: text,
  /** Must come from a variable. */
  secretAccessKey: text,
  /** Must come from a variable. */
  sessionToken: text.optional(),
})
const simple = [environment, profile, webIdentity, container, instance, fixed] as const
const assumeRole = z.strictObject({
  method: z.literal('assume-role'),
  roleArn,
  /** Agreed with whoever owns the role. https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_common-scenarios_third-party.html */
  externalId: z.string().min(2).max(1_224).optional(),
  sessionName,
  /** Who assumes the role. Default: whoever a section without `auth` would be. */
  source: z.discriminatedUnion('method', simple).optional(),
})

/** The keys of an `aws` section beside what every store section has. Sensitive: `auth.secretAccessKey`, `auth.sessionToken`. */
export const options = z
  .strictObject({
    /** Default: `AWS_REGION`, else `AWS_DEFAULT_REGION`. */
    region: z.string().regex(regionForm, 'a region is a code, as in eu-central-1').optional(),
    /** Default: `AWS_ENDPOINT_URL_SECRETS_MANAGER`, else `AWS_ENDPOINT_URL`, else AWS's own of the region. */
    endpoint: z
      .url({ protocol: /^https?$/, error: 'an endpoint is a URL, as in https://vpce-1.secretsmanager.eu-central-1.vpce.amazonaws.com' })
      .optional(),
    /** Left out: the first that is set up of environment, web-identity, profile, container, instance. */
    auth: z.discriminatedUnion('method', [...simple, assumeRole]).optional(),
    /** The key of new secrets: an id, ARN or alias. Default: AWS's own of the account. */
    kmsKeyId: text.max(2_048).optional(),
    /** Tags of new secrets, for policies that ask for them. */
    tags: z.record(z.string().min(1).max(128), z.string().max(256)).optional(),
    /** How long a deleted secret can be given back. */
    recoveryWindowDays: z.int().min(7).max(30).default(30),
    /** PEM text of the authorities to trust instead of the machine's; in a config it is a file. */
    ca: text.optional(),
    /** An HTTP proxy: `http://proxy.example.com:3128`. No variable of the environment is read. */
    proxy: z.url({ protocol: /^https?$/, error: 'a proxy is a URL, as in http://proxy.example.com:3128' }).optional(),
    /** The most connections, so the most calls at once. */
    maxInFlight: z.int().min(1).max(1_024).default(32),
    /** What the section serves; only ARNs are looked at here. */
    secrets: z.array(z.looseObject({ path: z.string().optional(), under: z.string().optional() })).optional(),
  })
  .superRefine(({ region, secrets = [] }, context) => {
    for (const [at, { path }] of secrets.entries()) {
      const other = region === undefined || path === undefined ? undefined : regionOf(path)
      if (other === undefined || other === region) continue
      context.addIssue({
        code: 'custom',
        path: ['secrets', at, 'path'],
        message: `the ARN is of region ${other} and the section of ${region}: make a section for each region`,
      })
    }
  })

/** A section as it was read, defaults filled in. */
export type AwsOptions = z.output<typeof options>
/** Who a section is. */
export type AwsAuth = NonNullable<AwsOptions['auth']>

/** The region that an ARN names, whole or not: what is wrong with its form is said where it is used. */
function regionOf(path: string): string | undefined {
  return /^arn:[^:]*:secretsmanager:([^:]+):/.exec(path)?.[1]
}
