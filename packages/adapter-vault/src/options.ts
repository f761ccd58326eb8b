import { z } from 'zod'
import { kvOf, type MountOptions } from './names.ts'
import { brokenNamespace } from './namespace.ts'

export { nameOf } from './names.ts'

const mountPath = z
  .string()
  .regex(/^[^/\s\\%?#]+(?:\/[^/\s\\%?#]+)*$/, 'a mount is its path without slashes around it, as in secret or team/kv')
  .refine(text => !text.split('/').some(part => part === '.' || part === '..'), 'a mount has no segment that is . or ..')
const file = z.string().min(1)
const namespace = z.string().superRefine((text, context) => {
  const broken = brokenNamespace(text)
  if (broken !== undefined)
    context.addIssue({ code: 'custom', message: `${broken}: a namespace is its path without slashes around it, as in admin/payments` })
})
/** Where a login lives, should that not be the namespace of the secrets. */
const login = { namespace: namespace.optional() }

const token = z.strictObject({
  ...login,
  method: z.literal('token'),
  /** Must come from a variable; a file that is replaced is read again at each login. */
  token: z.string().min(1).optional(),
  tokenFile: file.optional(),
})

const appRole = z
  .strictObject({
    ...login,
    method: z.literal('approle'),
    mount: mountPath.default('approle'),
    roleId: z.string().min(1),
    /** Must come from a variable. */
    secretId: z.string().min(1).optional(),
    secretIdFile: file.optional(),
  })
  .refine(auth => auth.secretId === undefined || auth.secretIdFile === undefined, 'give secretId or secretIdFile, not both')

const kubernetes = z.strictObject({
  ...login,
  method: z.literal('kubernetes'),
  mount: mountPath.default('kubernetes'),
  role: z.string().min(1),
  /** Default: `KEYTURN_SERVICE_ACCOUNT_TOKEN_FILE`, else the pod's own. */
  tokenFile: file.optional(),
})

const jwt = z
  .strictObject({
    ...login,
    method: z.literal('jwt'),
    mount: mountPath.default('jwt'),
    /** Left out: the mount's own `default_role`. */
    role: z.string().min(1).optional(),
    /** Must come from a variable, as a CI job has it. */
    token: z.string().min(1).optional(),
    /** A file that is replaced is read again at each login. */
    tokenFile: file.optional(),
  })
  .refine(auth => (auth.token === undefined) !== (auth.tokenFile === undefined), 'give tokenFile or token, one of both')

const address = z
  .url({ protocol: /^https?$/, error: 'an address is a URL, as in https://vault.example.com:8200' })
  .refine(text => plain(text), 'an address has no user, query or fragment')

/** The keys of a `vault` section beside what every store section has. Sensitive: `auth.token`, `auth.secretId`. */
export const options = z
  .strictObject({
    /** Where the server answers: `https://vault.example.com:8200`. */
    address,
    /** Left out: the token of `VAULT_TOKEN`. */
    auth: z.discriminatedUnion('method', [token, appRole, kubernetes, jwt]).optional(),
    /** Where everything here lies: `admin/payments`; `root` is the server's own. Left out: that one, or where the token is `VAULT_TOKEN`, `VAULT_NAMESPACE`. */
    namespace: namespace.optional(),
    /** The mount of every path here; needed when it has more than one segment. Default: the first segment. */
    mount: mountPath.optional(),
    /** The kind of every mount here. Default: by the shape of the paths. */
    kv: z.union([z.literal(1), z.literal(2)]).optional(),
    /** PEM text of the authorities to trust instead of the machine's; in a config it is a file. */
    ca: z.string().min(1).optional(),
    /** An HTTP proxy: `http://proxy.example.com:3128`. No variable of the environment is read. */
    proxy: z.url({ protocol: /^https?$/, error: 'a proxy is a URL, as in http://proxy.example.com:3128' }).optional(),
    /** The most connections to the server, so the most calls at once. */
    maxInFlight: z.int().min(1).max(1_024).default(32),
    /** What the section serves; only the shape of the paths is read here. */
    secrets: z.array(z.looseObject({ path: z.string().optional(), under: z.string().optional() })).optional(),
  })
  .refine(section => kinds(section).size < 2, {
    path: ['secrets'],
    error: 'paths of KV v1 and KV v2 in one section: they can do different things; make two sections, or say which by kv: 1 or kv: 2',
  })

/** A section as it was read, defaults filled in. */
export type VaultOptions = z.output<typeof options>
/** How a section logs in. */
export type VaultAuth = NonNullable<VaultOptions['auth']>

/** What the kind of a section follows from. */
interface Section extends MountOptions {
  readonly secrets?: readonly { readonly path?: string | undefined; readonly under?: string | undefined }[] | undefined
}

/** The one kind of mount that a section serves; KV v2 where nothing says otherwise. */
export function sectionKv(section: Section): 1 | 2 {
  const [first] = kinds(section)
  return section.kv ?? first ?? 2
}

function kinds({ secrets = [], ...section }: Section): ReadonlySet<1 | 2> {
  return new Set(secrets.flatMap(({ path, under }) => path ?? under ?? []).map(path => kvOf(path, section)))
}

function plain(text: string): boolean {
  const url = URL.parse(text)
  return url !== null && url.username === '' && url.password === '' && url.search === '' && url.hash === ''
}
