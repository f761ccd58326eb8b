import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { AwsSecretsManagerFake } from '../fakes/aws-secrets-manager.ts'
import { AzureVault } from '../fakes/azure-vault.ts'
import { GcpSecretManagerFake } from '../fakes/gcp-secret-manager.ts'
import { KubernetesFake } from '../fakes/kubernetes.ts'
import { testCertificates } from '../fakes/tls/certificates.ts'
import { VaultFake } from '../fakes/vault.ts'
import { type Place, start } from './harness.ts'

type Fields = Readonly<Record<string, string>>

/** Where one deployment keeps its secrets in a backend: a mount, a prefix, a project, a namespace, a file. */
export interface Home {
  /** The store's section of a config, alone, with entries for sets of fields or, with `texts`, for these names as texts. What it needs beside it is put into the place. */
  section(place: Place, texts?: readonly string[]): string
  /** Without Keyturn, except where only Keyturn can write. */
  put(place: Place, name: string, fields: Fields): Promise<void>
  /** Without Keyturn; undefined where only Keyturn can read. */
  get?(place: Place, name: string): Promise<Fields>
}

/** A backend that answers on the loopback, or a file. */
export interface Backend {
  readonly kind: string
  /** Whether it keeps older versions. */
  readonly history: boolean
  /** What its section finds in the environment. */
  readonly env: Record<string, string>
  home(id: string): Home
  /** Ends it; what went wrong in it is thrown. */
  close(): Promise<void>
}

const names = ['app/db', 'app/api', 'app/made'] as const

/** A list of entries; what stands in those of sets, and in those of texts, is the kind's affair. */
function entries(
  texts: readonly string[] | undefined,
  path: (name: string) => string,
  more: { readonly set?: string; readonly text?: string },
): string {
  const extra = (texts === undefined ? more.set : more.text) ?? ''
  return `[${(texts ?? names).map(name => `{ path: ${path(name)}, name: ${name}${extra} }`).join(', ')}]`
}
const asField = { text: ', key: value' }
const asJson = { set: ', format: json' }
const section = (kind: string, members: Readonly<Record<string, string>>) =>
  `${kind}:\n${Object.entries(members)
    .map(([key, value]) => `  ${key}: ${value}\n`)
    .join('')}`

function ended(fake: { readonly broken: readonly unknown[]; close(): Promise<void> }): () => Promise<void> {
  return async () => {
    await fake.close()
    if (fake.broken.length > 0) throw new Error(`the fake was misused: ${fake.broken.join('; ')}`)
  }
}

async function vault(): Promise<Backend> {
  const fake = await VaultFake.start()
  return {
    kind: 'vault',
    history: true,
    env: { VAULT_LOGIN: fake.root },
    home(id) {
      const kv = fake.mount(`kv-${id}`, 2)
      return {
        section: (_, texts) =>
          section('vault', {
            address: fake.url,
            auth: `{ method: token, token: "\${VAULT_LOGIN}" }`,
            secrets: entries(texts, name => `kv-${id}/data/${name}`, asField),
          }),
        put: async (_, name, fields) => kv.put(name, fields),
        async get(_, name) {
          const answer = await fetch(`${fake.url}/v1/kv-${id}/data/${name}`, { headers: { 'x-vault-token': fake.root } })
          return ((await answer.json()) as { data: { data: Fields } }).data.data
        },
      }
    },
    close: ended(fake),
  }
}

async function aws(): Promise<Backend> {
  const fake = await AwsSecretsManagerFake.start()
  const { accessKeyId, secretAccessKey } = fake.accounts.add()
  return {
    kind: 'aws',
    history: true,
    env: { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
    home: id => ({
      section: (_, texts) =>
        section('aws', {
          region: fake.region,
          endpoint: fake.url,
          auth: '{ method: environment }',
          secrets: entries(texts, name => `${id}/${name}`, asJson),
        }),
      put: async (_, name, fields) => fake.secrets.put(`${id}/${name}`, JSON.stringify(fields)),
      async get(_, name) {
        const { SecretString: text } = fake.secrets.answer('GetSecretValue', { SecretId: `${id}/${name}` }) as { SecretString: string }
        return JSON.parse(text)
      },
    }),
    close: ended(fake),
  }
}

async function azure(): Promise<Backend> {
  const fake = await AzureVault.start()
  const nameOf = (id: string, name: string) => `${id}-${name.replace('/', '-')}`
  return {
    kind: 'azure',
    history: true,
    env: { APP_SECRET: 'secret-of-the-app' },
    home: id => ({
      section(place, texts) {
        place.write('azure-ca.pem', testCertificates.ca)
        return section('azure', {
          vault: fake.url,
          authority: fake.authority.url,
          verifyChallenge: 'false',
          ca: 'azure-ca.pem',
          auth: `{ method: client-secret, tenantId: ${fake.authority.tenant}, clientId: app, clientSecret: "\${APP_SECRET}" }`,
          secrets: entries(texts, name => nameOf(id, name), asJson),
        })
      },
      async put(_, name, fields) {
        fake.secrets.put(nameOf(id, name), JSON.stringify(fields))
      },
      get: async (_, name) => JSON.parse(fake.secrets.stored(nameOf(id, name)).at(-1)?.value ?? ''),
    }),
    close: ended(fake),
  }
}

async function gcp(): Promise<Backend> {
  const fake = await GcpSecretManagerFake.start()
  const idOf = (name: string) => name.replace('/', '_')
  return {
    kind: 'gcp',
    history: true,
    env: {},
    home(id) {
      const secrets = fake.secrets(`projects/shop-${id}`)
      return {
        section: (_, texts) => section('gcp', { project: `shop-${id}`, endpoint: fake.endpoint, secrets: entries(texts, idOf, asJson) }),
        put: async (_, name, fields) => secrets.put(idOf(name), JSON.stringify(fields)),
        async get(_, name) {
          const { payload } = secrets.access(idOf(name), 'latest') as { payload: { data: Uint8Array } }
          return JSON.parse(Buffer.from(payload.data).toString())
        },
      }
    },
    close: ended(fake),
  }
}

async function kubernetes(): Promise<Backend> {
  const fake = await KubernetesFake.start()
  const nameOf = (name: string) => name.replace('/', '-')
  return {
    kind: 'kubernetes',
    history: false,
    env: { CLUSTER_TOKEN: fake.admin },
    home(id) {
      const namespace = `shop-${id}`
      fake.secrets.namespaces.add(namespace)
      return {
        section(place, texts) {
          place.write('cluster-ca.pem', fake.ca)
          const auth = `{ method: token, token: "\${CLUSTER_TOKEN}" }`
          const secrets = entries(texts, name => `${namespace}/${nameOf(name)}`, asField)
          return section('kubernetes', { address: fake.url, ca: 'cluster-ca.pem', auth, secrets })
        },
        async put(_, name, fields) {
          fake.secrets.put(namespace, nameOf(name), fields)
        },
        async get(_, name) {
          const { data = {} } = fake.secrets.get(namespace, nameOf(name))
          return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]))
        },
      }
    },
    close: ended(fake),
  }
}

async function dotenv(): Promise<Backend> {
  const variable = (name: string) => name.replaceAll(/[/-]/g, '_').toUpperCase()
  return {
    kind: 'dotenv',
    history: false,
    env: {},
    home: id => ({
      section: (_, texts) => section('dotenv', { file: `${id}.env`, secrets: entries(texts, variable, asJson) }),
      async put(place, name, fields) {
        place.write(`${id}.env`, `${variable(name)}='${JSON.stringify(fields)}'\n`)
      },
      get: async (place, name) => JSON.parse(parseEnv(place.read(`${id}.env`))[variable(name)] ?? ''),
    }),
    close: async () => undefined,
  }
}

/** Keyturn's own: nothing else can write to it, and nothing else can read it. */
async function database(): Promise<Backend> {
  return {
    kind: 'database',
    history: true,
    env: {},
    home: id => ({
      section: place => section('database', { file: join(place.folder, `${id}.db`) }),
      async put(place, name, fields) {
        place.write('keyturn.yaml', this.section(place))
        const broker = await start(place)
        try {
          await broker.ask('PUT', `/v1/secrets/${encodeURIComponent(name)}`, { body: { fields } })
        } finally {
          await broker.stop()
        }
      },
    }),
    close: async () => undefined,
  }
}

/** Every kind of store, each started once. */
export function startBackends(): Promise<readonly Backend[]> {
  return Promise.all([vault, aws, azure, gcp, kubernetes, dotenv, database].map(begin => begin()))
}
