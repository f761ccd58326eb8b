import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { BrokerError } from '@keyturn/core'
import { fromFile } from './credential-file.ts'
import { type ExchangeMeans, grantOf, impersonated, impersonationUrl, scope } from './exchange.ts'
import type { GcpAuth } from './options.ts'
import { membersOf, TokenHttp } from './token-http.ts'
import type { Credential, Grant } from './tokens.ts'

/** The environment, as far as a login reads it. */
export type Environment = Readonly<Record<string, string | undefined>>

/** What a login needs beside what the section says. */
export interface LoginMeans {
  readonly env: Environment
  readonly ca?: string | undefined
  readonly proxy?: string | undefined
  readonly now: () => Date
}

type Means = ExchangeMeans & { readonly env: Environment }
/** `asked`: a token of an authority, where one that the key signs would be taken by fewer services. */
type Login = (signal: AbortSignal, token?: 'asked') => Promise<Grant>

/** The way to a token that a section names; without `auth` the application default credentials. */
export function credentialOf(auth: GcpAuth = { method: 'application-default' }, { env, ca, proxy, now }: LoginMeans): Credential {
  const means = { env, now, http: new TokenHttp({ ca, proxy }) }
  if (auth.method !== 'impersonation') return sourceOf(auth, means)
  const source = sourceOf(auth.source, means)
  const url = impersonationUrl(auth.serviceAccount)
  return {
    title: `impersonation of ${auth.serviceAccount} by ${source.title}`,
    async login(signal) {
      const by = await source.login(signal, 'asked')
      return impersonated({ url, delegates: auth.delegates, seconds: 3_600 }, by, means, signal)
    },
  }
}

function sourceOf(auth: Exclude<GcpAuth, { method: 'impersonation' }>, means: Means): { readonly title: string; readonly login: Login } {
  switch (auth.method) {
    case 'service-account-key':
      return {
        title: `the service account key of ${auth.keyFile}`,
        login: (signal, token) => fromFile(auth.keyFile, means, signal, { only: 'service_account', ...(token && { token }) }),
      }
    case 'workload-identity-federation':
      return {
        title: `the federation of ${auth.configFile}`,
        login: signal => fromFile(auth.configFile, means, signal, { only: 'external_account' }),
      }
    case 'metadata-server':
      return { title: 'the metadata server', login: signal => fromMetadata(means, signal) }
    case 'application-default':
      return { title: 'application default credentials', login: (signal, token) => byDefault(means, signal, token) }
  }
}

/** A file that the environment names, else what gcloud left, else the machine's own account. https://cloud.google.com/docs/authentication/application-default-credentials */
async function byDefault(means: Means, signal: AbortSignal, token: 'asked' | undefined): Promise<Grant> {
  const { env } = means
  const file = env.GOOGLE_APPLICATION_CREDENTIALS || (await leftByGcloud(env))
  const grant = file === undefined ? await fromMetadata(means, signal) : await fromFile(file, means, signal, token && { token })
  const quotaProject = env.GOOGLE_CLOUD_QUOTA_PROJECT
  return quotaProject === undefined ? grant : { ...grant, quotaProject }
}

async function leftByGcloud({ CLOUDSDK_CONFIG, APPDATA, HOME }: Environment): Promise<string | undefined> {
  const folder = CLOUDSDK_CONFIG ?? (APPDATA === undefined ? HOME && join(HOME, '.config', 'gcloud') : join(APPDATA, 'gcloud'))
  if (folder === undefined || folder === '') return undefined
  const file = join(folder, 'application_default_credentials.json')
  return access(file).then(
    () => file,
    () => undefined,
  )
}

/** The account of the machine, the pod or the function. https://cloud.google.com/compute/docs/access/authenticate-workloads */
async function fromMetadata({ http, now, env }: Means, signal: AbortSignal): Promise<Grant> {
  const none = () =>
    new BrokerError(
      'unauthenticated',
      'gcp: there are no credentials: no file is named or left by gcloud, and no metadata server answers',
      {
        hint: 'give the section auth, set GOOGLE_APPLICATION_CREDENTIALS, or log in with gcloud auth application-default login',
      },
    )
  if (env.METADATA_SERVER_DETECTION === 'none') throw none()
  const host = env.GCE_METADATA_HOST ?? env.GCE_METADATA_IP ?? 'metadata.google.internal'
  const url = `http://${host}/computeMetadata/v1/instance/service-accounts/default/token?scopes=${encodeURIComponent(scope)}`
  const asked = now().getTime()
  const answer = await http.send({ url, headers: { 'metadata-flavor': 'Google' } }, signal).catch((error: unknown) => {
    // no such name: this machine is not one of Google's
    throw error instanceof BrokerError && /\((?:ENOTFOUND|EAI_AGAIN)\)/.test(error.message) ? none() : error
  })
  if (answer.flavor !== 'Google') throw none()
  return grantOf(membersOf(answer.text) ?? {}, asked)
}
