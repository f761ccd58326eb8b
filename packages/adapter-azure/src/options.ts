import { z } from 'zod'
import { sameInVault } from './names.ts'

export { nameOf } from './names.ts'

/** A text, or fields where the config says `format: json`. */
export const holds = 'text'

const id = z.string().min(1)
const file = z.string().min(1)
const tenantId = z.string().regex(/^[\w.-]+$/, 'a tenant is its id or its domain, as in contoso.onmicrosoft.com')

const clientSecret = z
  .strictObject({
    method: z.literal('client-secret'),
    tenantId,
    clientId: id,
    /** Must come from a variable. */
    clientSecret: z.string().min(1).optional(),
    /** Read again at each login. */
    clientSecretFile: file.optional(),
  })
  .refine(auth => (auth.clientSecret === undefined) !== (auth.clientSecretFile === undefined), 'give clientSecret or clientSecretFile')

const clientCertificate = z.strictObject({
  method: z.literal('client-certificate'),
  tenantId,
  clientId: id,
  /** PEM of the certificate and its private key. */
  certificateFile: file,
  /** Of an encrypted key. Must come from a variable. */
  certificatePassword: z.string().min(1).optional(),
  /** Sends the chain too, for an app that trusts by subject and issuer. */
  sendCertificateChain: z.boolean().default(false),
})

const workloadIdentity = z.strictObject({
  method: z.literal('workload-identity'),
  /** Default: `AZURE_TENANT_ID`, as AKS sets it. */
  tenantId: tenantId.optional(),
  /** Default: `AZURE_CLIENT_ID`. */
  clientId: id.optional(),
  /** Default: `AZURE_FEDERATED_TOKEN_FILE`. */
  tokenFile: file.optional(),
})

const managedIdentity = z
  .strictObject({
    method: z.literal('managed-identity'),
    /** Of a user-assigned identity, which one of the three names; none of them: the system-assigned one. */
    clientId: id.optional(),
    objectId: id.optional(),
    resourceId: id.optional(),
  })
  .refine(
    ({ clientId, objectId, resourceId }) => [clientId, objectId, resourceId].filter(each => each !== undefined).length < 2,
    'give one of clientId, objectId and resourceId',
  )

const cli = z.strictObject({
  method: z.literal('cli'),
  /** Default: the tenant that `az` is logged in to. */
  tenantId: tenantId.optional(),
  subscription: id.optional(),
})

const https = /^https$/

/** Of the public cloud and the sovereign ones. https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#vault-name-and-object-name */
const vaultHost = /^[0-9a-z](?:[0-9a-z-]{1,22}[0-9a-z])\.vault\.(?:azure\.net|azure\.cn|usgovcloudapi\.net)$/

/** The keys of an `azure` section beside what every store section has. Sensitive: `auth.clientSecret`, `auth.certificatePassword`. */
export const options = z
  .strictObject({
    /** Where the vault answers: `https://shop-prod.vault.azure.net`. */
    vault: z
      .url({ protocol: https, error: 'a vault is a URL, as in https://shop-prod.vault.azure.net' })
      .refine(isPlain, 'the URL of a vault has no path, user, query or fragment')
      .transform(text => URL.parse(text)?.origin ?? text),
    /** Left out: by `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and what is set beside them. */
    auth: z.discriminatedUnion('method', [clientSecret, clientCertificate, workloadIdentity, managedIdentity, cli]).optional(),
    /** Who gives tokens. Default: `AZURE_AUTHORITY_HOST`, else the one of the vault's cloud. */
    authority: z
      .url({ protocol: https, error: 'an authority is a URL, as in https://login.microsoftonline.us' })
      .refine(isPlain, 'the URL of an authority has no path, user, query or fragment')
      .transform(text => URL.parse(text)?.origin ?? text)
      .optional(),
    /** `false` only for an emulator: its token would be sent to a host that is no vault. Refused for a host of Azure. */
    verifyChallenge: z.boolean().default(true),
    /** PEM text of the authorities to trust instead of the machine's; in a config it is a file. */
    ca: z.string().min(1).optional(),
    /** An HTTP proxy: `http://proxy.example.com:3128`. No variable of the environment is read. */
    proxy: z.url({ protocol: /^https?$/, error: 'a proxy is a URL, as in http://proxy.example.com:3128' }).optional(),
    /** The most connections to the vault, so the most calls at once. */
    maxInFlight: z.int().min(1).max(1_024).default(32),
    /** What the section serves; only the shape of the paths is read here. */
    secrets: z.array(z.looseObject({ path: z.string().optional(), under: z.string().optional() })).optional(),
  })
  .refine(section => !section.verifyChallenge || isVault(section.vault), {
    path: ['vault'],
    error: 'not the host of a vault: write https://NAME.vault.azure.net, or verifyChallenge: false for an emulator',
  })
  .refine(section => section.verifyChallenge || !isVault(section.vault), {
    path: ['verifyChallenge'],
    error: 'a vault of Azure names itself in its challenge: leave this out',
  })
  .superRefine(({ secrets = [] }, context) => {
    const clash = sameInVault(secrets.flatMap(({ path }) => (path === undefined || path === '' || path.endsWith('/') ? [] : [path])))
    if (clash === undefined) return
    const [one, other] = clash.map(path => JSON.stringify(path))
    context.addIssue({ code: 'custom', path: ['secrets'], message: `azure takes ${one} and ${other} for one secret: rename one` })
  })

/** A section as it was read, defaults filled in. */
export type AzureOptions = z.output<typeof options>
/** How a section logs in. */
export type AzureAuth = NonNullable<AzureOptions['auth']>

function isVault(text: string): boolean {
  return vaultHost.test(URL.parse(text)?.host ?? '')
}

function isPlain(text: string): boolean {
  const url = URL.parse(text)
  return url !== null && url.pathname === '/' && url.username === '' && url.password === '' && url.search === '' && url.hash === ''
}
