import { createSecretKey, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { ClientSecretCredential } from '@azure/identity'
import { SecretClient } from '@azure/keyvault-secrets'
import { SecretManagerServiceClient } from '@google-cloud/secret-manager'
import { credentials } from '@grpc/grpc-js'
import * as aws from '@keyturn/adapter-aws'
import * as azure from '@keyturn/adapter-azure'
import * as gcp from '@keyturn/adapter-gcp'
import * as kubernetes from '@keyturn/adapter-kubernetes'
import * as vault from '@keyturn/adapter-vault'
import { pooledRandom, systemClock } from '@keyturn/broker'
import type { StoreAdapter } from '@keyturn/core'
import { CoreV1Api, KubeConfig } from '@kubernetes/client-node'
import { GoogleAuth, JWT } from 'google-auth-library'
import openNodeVault from 'node-vault'
import { testCertificates } from '../fakes/tls/certificates.ts'

/** What a fake says of itself. */
export type Reach = Readonly<Record<string, string>>

/** One backend, read through its adapter and through its SDK as the SDK's own documents use it. */
export interface Backend {
  readonly kind: string
  readonly path: string
  readonly prefix: string
  readonly sdk: string
  open(reach: Reach): Promise<StoreAdapter>
  /** One read by the SDK alone. */
  bare(reach: Reach): () => Promise<unknown>
}

/** The secret that is read. */
export const value = 'a'.repeat(64)
export const namesListed = 10_000

const context = { clock: systemClock, random: pooledRandom(), etagKey: createSecretKey(randomBytes(32)), data: '/nonexistent' }
const none = { env: {} }
const ca = testCertificates.ca

export const backends: readonly Backend[] = [
  {
    kind: 'vault',
    path: 'secret/data/read',
    prefix: 'secret/data/',
    sdk: 'node-vault',
    open: ({ url, token }) => vault.open(vault.options.parse({ address: url, kv: 2 }), context, { env: { VAULT_TOKEN: token } }),
    bare({ url, token }) {
      // it sends the verb LIST otherwise; reads are the same
      const client = openNodeVault({ endpoint: url ?? '', token: token ?? '', noCustomHTTPVerbs: true })
      return () => client.read('secret/data/read')
    },
  },
  {
    kind: 'aws',
    path: 'read',
    prefix: '',
    sdk: '@aws-sdk/client-secrets-manager',
    open: ({ url, accessKeyId, secretAccessKey }) =>
      aws.open(
        aws.options.parse({ region: 'eu-central-1', endpoint: url, auth: { method: 'static', accessKeyId, secretAccessKey } }),
        context,
        none,
      ),
    bare({ url, accessKeyId = '', secretAccessKey = '' }) {
      const client = new SecretsManagerClient({
        region: 'eu-central-1',
        ...(url === undefined ? {} : { endpoint: url }),
        credentials: { accessKeyId, secretAccessKey },
      })
      return () => client.send(new GetSecretValueCommand({ SecretId: 'read' }))
    },
  },
  {
    kind: 'azure',
    path: 'read',
    prefix: '',
    sdk: '@azure/keyvault-secrets',
    open: ({ url, authority, tenant }) => {
      const auth = { method: 'client-secret', tenantId: tenant, clientId: 'app', clientSecret: 'secret-of-the-app' }
      return azure.open(azure.options.parse({ vault: url, authority, auth, verifyChallenge: false, ca }), context, none)
    },
    bare({ url = '', authority = '', tenant = '' }) {
      const tlsOptions = { ca }
      const login = { authorityHost: authority, disableInstanceDiscovery: true, tlsOptions }
      const credential = new ClientSecretCredential(tenant, 'app', 'secret-of-the-app', login)
      const client = new SecretClient(url, credential, { disableChallengeResourceVerification: true, tlsOptions })
      return () => client.getSecret('read')
    },
  },
  {
    kind: 'gcp',
    path: 'read',
    prefix: '',
    sdk: '@google-cloud/secret-manager',
    open: ({ host, port, keyFile }) => {
      const auth = { method: 'service-account-key', keyFile }
      return gcp.open(gcp.options.parse({ endpoint: `https://${host}:${port}`, project: 'bench', ca, auth }), context, none)
    },
    bare({ host: apiEndpoint = '', port, keyFile = '' }) {
      const { client_email: email, private_key: key } = JSON.parse(readFileSync(keyFile, 'utf8'))
      const login = new JWT({ email, key, scopes: ['https://www.googleapis.com/auth/cloud-platform'] })
      // google-gax says so to a login that it makes itself
      login.useJWTAccessWithScope = true
      // as google-gax puts them together, which has no option for a certificate authority of one's own
      const google = credentials.createFromGoogleCredential({
        async getRequestHeaders(url) {
          return Object.fromEntries(await login.getRequestHeaders(url))
        },
      })
      const sslCreds = credentials.combineChannelCredentials(credentials.createSsl(Buffer.from(ca)), google)
      const client = new SecretManagerServiceClient({
        apiEndpoint,
        port: Number(port),
        auth: new GoogleAuth({ authClient: login }),
        sslCreds,
        projectId: 'bench',
      })
      return () => client.accessSecretVersion({ name: 'projects/bench/secrets/read/versions/latest' })
    },
  },
  {
    kind: 'kubernetes',
    path: 'bench/read',
    prefix: 'bench/',
    sdk: '@kubernetes/client-node',
    open: ({ url, token }) =>
      kubernetes.open(kubernetes.options.parse({ address: url, ca, auth: { method: 'token', token } }), context, none),
    bare({ url = '', token = '' }) {
      const config = new KubeConfig()
      config.loadFromOptions({
        clusters: [{ name: 'c', server: url, caData: Buffer.from(ca).toString('base64') }],
        users: [{ name: 'u', token }],
        contexts: [{ name: 'x', cluster: 'c', user: 'u' }],
        currentContext: 'x',
      })
      const client = config.makeApiClient(CoreV1Api)
      return () => client.readNamespacedSecret({ name: 'read', namespace: 'bench' })
    },
  },
]
