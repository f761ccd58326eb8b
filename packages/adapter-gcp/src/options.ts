import { z } from 'zod'
import { ambiguity, locationForm, projectForm } from './names.ts'

export { nameOf } from './names.ts'

const file = z.string().min(1)

const account = z
  .string()
  .regex(/^[^\s@/:]+@[^\s@/:]+\.gserviceaccount\.com$/, 'a service account is its e-mail, as in broker@project.iam.gserviceaccount.com')

const applicationDefault = z.strictObject({ method: z.literal('application-default') })

const serviceAccountKey = z.strictObject({
  method: z.literal('service-account-key'),
  /** The JSON key file; one that is replaced is read again at the next login. */
  keyFile: file,
})

const workloadIdentityFederation = z.strictObject({
  method: z.literal('workload-identity-federation'),
  /** The credential configuration that `gcloud iam workload-identity-pools create-cred-config` writes. */
  configFile: file,
})

const metadataServer = z.strictObject({
  method: z.literal('metadata-server'),
})

const source = z.discriminatedUnion('method', [applicationDefault, serviceAccountKey, workloadIdentityFederation, metadataServer])

const impersonation = z.strictObject({
  method: z.literal('impersonation'),
  /** The account whose rights are used. */
  serviceAccount: account,
  /** Accounts in between, each of which may impersonate the next. */
  delegates: z.array(account).max(8).default([]),
  /** Whose credential asks for it. */
  source: source.default({ method: 'application-default' }),
})

const auth = z.discriminatedUnion('method', [
  applicationDefault,
  serviceAccountKey,
  workloadIdentityFederation,
  metadataServer,
  impersonation,
])

const endpoint = z
  .string()
  .refine(text => targetOf(text) !== undefined, 'an endpoint is a host with a port, as in 127.0.0.1:9090, or an https URL without a path')
  .refine(
    text => targetOf(text)?.plain !== true || isLoopback(targetOf(text)?.host ?? ''),
    'plaintext is for the loopback alone: write https://',
  )

/** The keys of a `gcp` section beside what every store section has. */
export const options = z
  .strictObject({
    /** Of ids without one. Default: `GOOGLE_CLOUD_PROJECT`, then `GCLOUD_PROJECT`. */
    project: z.string().regex(projectForm, 'a project is its id, as in shop-prod-4711').optional(),
    /** For regional secrets: `europe-west3`. All secrets of the section are regional then. */
    location: z.string().regex(locationForm, 'a location is a region, as in europe-west3').optional(),
    /** Another host and port: an emulator (on the loopback in plaintext, without a login), or a private endpoint. */
    endpoint: endpoint.optional(),
    /** Where the values of secrets that a write creates are kept: left out, where Google chooses; else in these locations alone. */
    replication: z.strictObject({ locations: z.array(z.string().regex(locationForm)).min(1).max(64) }).optional(),
    /** The version alias that names the current version of every secret here. Left out: the newest version is current. */
    alias: z
      .string()
      .regex(/^[a-zA-Z][\w-]{0,62}$/, 'an alias begins with a letter and has letters, digits, - and _, at most 63')
      .refine(text => text !== 'latest' && text !== 'NEW', 'latest and NEW are Google’s own')
      .optional(),
    /** Left out: application default credentials. */
    auth: auth.optional(),
    /** How many secrets a list asks for at once. */
    pageSize: z.int().min(1).max(25_000).default(1_000),
    /** PEM text of the authorities to trust instead of the machine's; in a config it is a file. */
    ca: z.string().min(1).optional(),
    /** An HTTP proxy that tunnels: `http://proxy.example.com:3128`. No variable of the environment is read. */
    proxy: z.url({ protocol: /^http$/, error: 'a proxy is a URL, as in http://proxy.example.com:3128' }).optional(),
    /** The most calls at once. */
    maxInFlight: z.int().min(1).max(1_024).default(32),
    /** What the section serves; only the shape of the paths is read here. */
    secrets: z.array(z.looseObject({ path: z.string().optional(), under: z.string().optional() })).optional(),
  })
  .refine(section => section.location === undefined || section.replication === undefined, {
    path: ['replication'],
    error: 'a regional secret is kept in its location alone: remove replication, or location',
  })
  .refine(section => section.auth === undefined || targetOf(section.endpoint ?? '')?.plain !== true, {
    path: ['auth'],
    error: 'no credential is sent in plaintext: remove auth, or write the endpoint as an https URL',
  })
  .superRefine((section, context) => {
    for (const [index, { path }] of (section.secrets ?? []).entries()) {
      const broken = path === undefined ? undefined : ambiguity(path)
      if (broken === undefined) continue
      context.addIssue({ code: 'custom', path: ['secrets', index, 'path'], message: `${broken}: write projects/PROJECT/secrets/${path}` })
    }
  })

/** A section as it was read, defaults filled in. */
export type GcpOptions = z.output<typeof options>
/** How a section logs in. */
export type GcpAuth = NonNullable<GcpOptions['auth']>

/** A text, or fields where the config says `format: json`. */
export const holds = 'text'

/** Where a section's server answers, and whether in plaintext. */
export interface Target {
  readonly host: string
  readonly port: number
  readonly plain: boolean
}

/** Reads an endpoint: `host:port` (plaintext on the loopback), `http://host:port` or `https://host[:port]`. Undefined for anything else. */
export function targetOf(endpoint: string): Target | undefined {
  const hasScheme = /^https?:\/\//.test(endpoint)
  const url = URL.parse(hasScheme ? endpoint : `grpc://${endpoint}`)
  if (url === null || url.hostname === '' || !['', '/'].includes(url.pathname)) return undefined
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '' || endpoint.endsWith('/')) return undefined
  if (url.port === '' && url.protocol !== 'https:')
    return url.protocol === 'http:' ? { host: url.hostname, port: 80, plain: true } : undefined
  const plain = hasScheme ? url.protocol === 'http:' : isLoopback(url.hostname)
  return { host: url.hostname, port: Number(url.port || 443), plain }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(host)
}
