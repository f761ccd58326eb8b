import { readFile } from 'node:fs/promises'
import {
  AzureCliCredential,
  ClientCertificateCredential,
  ClientSecretCredential,
  ManagedIdentityCredential,
  type TokenCredential,
  WorkloadIdentityCredential,
} from '@azure/identity'
import { BrokerError } from '@keyturn/core'
import type { AzureAuth, AzureOptions } from './options.ts'
import type { Transport } from './transport.ts'

/** The variables of a process, as the broker hands them over. */
export type Environment = Readonly<Record<string, string | undefined>>

/** A way to log in. */
export interface Credential {
  /** As an error says it: `the secret of client 00d8...`. */
  readonly title: string
  /** Who gives the tokens, for errors. */
  readonly authority: string
  /** The SDK's own, with an empty cache. */
  make(transport: Transport): Promise<TokenCredential>
}

const clouds: readonly (readonly [end: string, authority: string])[] = [
  ['.vault.azure.cn', 'https://login.chinacloudapi.cn'],
  ['.vault.usgovcloudapi.net', 'https://login.microsoftonline.us'],
]
const cliMs = 30_000
const publicCloud = 'https://login.microsoftonline.com'

/** The login that a section names, or the one of the environment's variables; `unauthenticated` with what to write when neither says one. */
export function credentialOf({ vault, auth, authority: named }: AzureOptions, env: Environment): Credential {
  const given = named ?? authorityIn(env)
  const authority = given ?? clouds.find(([end]) => new URL(vault).hostname.endsWith(end))?.[1] ?? publicCloud
  // an authority that was named is the right one: nobody else is asked about it
  const settings = { authorityHost: authority, disableInstanceDiscovery: given !== undefined, retryOptions: { maxRetries: 0 } }
  const login = auth ?? authOf(env)
  return { ...methodOf(login, env, settings), authority }
}

/** `invalid_argument` for what is no address that a client's secret may be sent to. */
function authorityIn({ AZURE_AUTHORITY_HOST: authority }: Environment): string | undefined {
  if (!authority) return undefined
  const url = URL.parse(authority)
  if (url?.protocol === 'https:') return url.origin
  throw new BrokerError('invalid_argument', 'azure: AZURE_AUTHORITY_HOST is no https URL', {
    hint: 'correct the variable, or give the section authority',
  })
}

interface Settings {
  readonly authorityHost: string
  readonly disableInstanceDiscovery: boolean
  readonly retryOptions: { readonly maxRetries: number }
}

type Method = Omit<Credential, 'authority'>

function methodOf(auth: AzureAuth, env: Environment, settings: Settings): Method {
  switch (auth.method) {
    case 'client-secret':
      return {
        title: `the secret of client ${auth.clientId}`,
        make: async httpClient => {
          const secret = auth.clientSecret ?? (await textOf(auth.clientSecretFile ?? ''))
          return new ClientSecretCredential(auth.tenantId, auth.clientId, secret, { ...settings, httpClient })
        },
      }
    case 'client-certificate': {
      const { certificateFile: certificatePath, certificatePassword, sendCertificateChain } = auth
      const certificate = { certificatePath, ...(certificatePassword === undefined ? {} : { certificatePassword }) }
      return {
        title: `the certificate of client ${auth.clientId}`,
        make: async httpClient =>
          new ClientCertificateCredential(auth.tenantId, auth.clientId, certificate, { ...settings, sendCertificateChain, httpClient }),
      }
    }
    case 'workload-identity': {
      const tenantId = auth.tenantId ?? needed(env, 'AZURE_TENANT_ID', 'auth.tenantId')
      const clientId = auth.clientId ?? needed(env, 'AZURE_CLIENT_ID', 'auth.clientId')
      const tokenFilePath = auth.tokenFile ?? needed(env, 'AZURE_FEDERATED_TOKEN_FILE', 'auth.tokenFile')
      return {
        title: `the workload identity of client ${clientId}`,
        make: async httpClient => new WorkloadIdentityCredential({ ...settings, tenantId, clientId, tokenFilePath, httpClient }),
      }
    }
    case 'managed-identity':
      return managedIdentity(auth)
    case 'cli': {
      const { tenantId, subscription } = auth
      return {
        title: 'the login of the Azure CLI',
        make: async () =>
          new AzureCliCredential({
            ...(tenantId === undefined ? {} : { tenantId }),
            ...(subscription === undefined ? {} : { subscription }),
            processTimeoutInMs: cliMs,
          }),
      }
    }
  }
}

function managedIdentity({ clientId, objectId, resourceId }: Extract<AzureAuth, { method: 'managed-identity' }>): Method {
  const named = clientId ?? objectId ?? resourceId
  return {
    title: named === undefined ? 'the managed identity of the machine' : `the managed identity ${named}`,
    make: async httpClient => {
      if (objectId !== undefined) return new ManagedIdentityCredential({ objectId, httpClient })
      if (resourceId !== undefined) return new ManagedIdentityCredential({ resourceId, httpClient })
      return new ManagedIdentityCredential(clientId === undefined ? { httpClient } : { clientId, httpClient })
    },
  }
}

/** The one list of what counts without `auth`: a client and its tenant, with a secret, a certificate or a token file. */
function authOf(env: Environment): AzureAuth {
  const { AZURE_TENANT_ID: tenantId, AZURE_CLIENT_ID: clientId } = env
  if (tenantId && clientId) {
    if (env.AZURE_CLIENT_SECRET) return { method: 'client-secret', tenantId, clientId, clientSecret: env.AZURE_CLIENT_SECRET }
    const { AZURE_CLIENT_CERTIFICATE_PATH: certificateFile, AZURE_CLIENT_CERTIFICATE_PASSWORD: certificatePassword } = env
    if (certificateFile) {
      const password = certificatePassword ? { certificatePassword } : {}
      return { method: 'client-certificate', tenantId, clientId, certificateFile, sendCertificateChain: false, ...password }
    }
    if (env.AZURE_FEDERATED_TOKEN_FILE) return { method: 'workload-identity' }
  }
  throw new BrokerError('unauthenticated', 'azure: no credential: the section has no auth, and the variables name none', {
    hint:
      'write auth: { method: ... } in the section, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and one of AZURE_CLIENT_SECRET, ' +
      'AZURE_CLIENT_CERTIFICATE_PATH and AZURE_FEDERATED_TOKEN_FILE',
  })
}

function needed(env: Environment, variable: string, key: string): string {
  const value = env[variable]
  if (value) return value
  throw new BrokerError('unauthenticated', `azure: workload identity needs ${key}`, { hint: `write ${key}, or set ${variable}` })
}

async function textOf(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).trimEnd()
  } catch (cause) {
    throw new BrokerError('unauthenticated', `azure: the client secret cannot be read from ${path}`, {
      hint: 'correct clientSecretFile',
      cause,
    })
  }
}
