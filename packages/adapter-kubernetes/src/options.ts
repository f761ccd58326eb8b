import { z } from 'zod'
import { entryRefusal } from './names.ts'

export { nameOf } from './names.ts'

const file = z.string().min(1)

const inCluster = z.strictObject({
  method: z.literal('in-cluster'),
  /** Where the pod has `token` and `ca.crt`. Default: `/var/run/secrets/kubernetes.io/serviceaccount`. */
  folder: file.optional(),
})

const kubeconfig = z.strictObject({
  method: z.literal('kubeconfig'),
  /** Default: those of `KUBECONFIG`, else `~/.kube/config`. */
  file: file.optional(),
  /** Default: the current one of the file. */
  context: z.string().min(1).optional(),
  /** Commands of credential plugins that may be run, as the file has them: `aws`, `gke-gcloud-auth-plugin`. Default: none. */
  exec: z.array(z.string().min(1)).default([]),
})

const token = z
  .strictObject({
    method: z.literal('token'),
    /** Must come from a variable. */
    token: z.string().min(1).optional(),
    /** Read again while it is used, so that it may be replaced. */
    tokenFile: file.optional(),
  })
  .refine(auth => (auth.token === undefined) !== (auth.tokenFile === undefined), 'give tokenFile or token, one of them')

const certificate = z.strictObject({
  method: z.literal('certificate'),
  /** PEM files, read again while they are used. */
  certFile: file,
  keyFile: file,
})

const address = z
  .url({ protocol: /^https?$/, error: 'an address is a URL, as in https://kubernetes.example.com:6443' })
  .refine(text => addressRefusal(text) === undefined, { error: issue => addressRefusal(String(issue.input)) ?? 'no address' })

/** The keys of a `kubernetes` section beside what every store section has. Sensitive: `auth.token`. */
export const options = z
  .strictObject({
    /** Where the API server answers; for `token` and `certificate`, and for `in-cluster` in place of the pod's own. A path before `/api` is kept. */
    address: address.optional(),
    /** Left out: what `KUBECONFIG` names, else the service account of the pod, else `~/.kube/config`. */
    auth: z.discriminatedUnion('method', [inCluster, kubeconfig, token, certificate]).optional(),
    /** PEM text of the authorities to trust instead of the kubeconfig's, the pod's or the machine's; in a config it is a file. */
    ca: z.string().min(1).optional(),
    /** An HTTP proxy: `http://proxy.example.com:3128`. No variable of the environment is read. */
    proxy: z.url({ protocol: /^https?$/, error: 'a proxy is a URL, as in http://proxy.example.com:3128' }).optional(),
    /** The most connections to the server, so the most calls at once. */
    maxInFlight: z.int().min(1).max(1_024).default(32),
    /** What the section serves. */
    secrets: z
      .array(
        z.looseObject({ path: z.string().optional(), under: z.string().optional() }).superRefine((entry, context) => {
          const why = entryRefusal(entry)
          if (why !== undefined) context.addIssue({ code: 'custom', path: [entry.path === undefined ? 'under' : 'path'], message: why })
        }),
      )
      .optional(),
  })
  .refine(section => section.address !== undefined || !needsAddress(section), {
    path: ['address'],
    error: 'these credentials do not say which server they are for: give address',
  })
  .refine(section => section.address === undefined || section.auth?.method !== 'kubeconfig', {
    path: ['address'],
    error: 'a kubeconfig has its own: choose its context, or leave address out',
  })
  .refine(section => section.address === undefined || section.auth !== undefined, {
    path: ['auth'],
    error: 'an address needs to be told how to log in there: give auth',
  })

/** A section as it was read, defaults filled in. */
export type KubernetesOptions = z.output<typeof options>
/** How a section logs in. */
export type KubernetesAuth = NonNullable<KubernetesOptions['auth']>

/** Why a URL is not one that a credential may be sent to; undefined when it is. */
export function addressRefusal(text: string): string | undefined {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol)) return 'an address is a URL, as in https://kubernetes.example.com:6443'
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') return 'an address has no user, query or fragment'
  const isLoopback = /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(url.hostname)
  return url.protocol === 'https:' || isLoopback ? undefined : 'an address is https: everybody on the way could read token and values'
}

function needsAddress({ auth }: { readonly auth?: { readonly method: string } | undefined }): boolean {
  return auth?.method === 'token' || auth?.method === 'certificate'
}
