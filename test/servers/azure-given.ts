import { readFileSync } from 'node:fs'
import { request } from 'node:https'

/** A vault that a person named by `KEYTURN_TEST_AZURE_*`: an emulator, or a real one. Nothing is started here. */
export interface AzureGiven {
  readonly vault: string
  /** Unset: the public cloud's. */
  readonly authority: string | undefined
  readonly tenant: string
  readonly clientId: string
  readonly clientSecret: string
  /** PEM text. */
  readonly ca: string | undefined
  /** What to call it: `KEYTURN_TEST_AZURE_SERVER`, else its host. */
  readonly name: string
}

/** What the environment names; undefined, with the reason, where it names none or a part. */
export function givenAzure(env: Readonly<Record<string, string | undefined>>): AzureGiven | { readonly absent: string } {
  const variable = (name: string) => env[`KEYTURN_TEST_AZURE_${name}`] || undefined
  const [vault, tenant, clientId, clientSecret] = ['VAULT', 'TENANT', 'CLIENT_ID', 'CLIENT_SECRET'].map(variable)
  if (vault === undefined) return { absent: 'KEYTURN_TEST_AZURE_VAULT names none, and no package registry has one' }
  if (tenant === undefined || clientId === undefined || clientSecret === undefined) {
    return { absent: 'beside KEYTURN_TEST_AZURE_VAULT it needs _TENANT, _CLIENT_ID and _CLIENT_SECRET' }
  }
  const file = variable('CA')
  const ca = file === undefined ? undefined : readFileSync(file, 'utf8')
  return { vault, authority: variable('AUTHORITY'), tenant, clientId, clientSecret, ca, name: variable('SERVER') ?? new URL(vault).host }
}

export interface RawAnswer {
  readonly status: number
  readonly body: Record<string, unknown>
}

/** One HTTPS request past the adapter and the SDK. */
export function raw(
  url: string,
  ca: string | undefined,
  more: { method?: string; token?: string; json?: unknown; form?: Record<string, string> } = {},
): Promise<RawAnswer> {
  const { method = 'GET', token, json, form } = more
  const body = form === undefined ? (json === undefined ? undefined : JSON.stringify(json)) : new URLSearchParams(form).toString()
  const headers = {
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(body === undefined ? {} : { 'content-type': form === undefined ? 'application/json' : 'application/x-www-form-urlencoded' }),
  }
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, headers, ...(ca === undefined ? {} : { ca }) }, response => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('error', reject)
      response.on('end', () => {
        const text = Buffer.concat(parts).toString()
        // both kinds of server answer with objects
        resolve({ status: response.statusCode ?? 0, body: text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {} })
      })
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

/** A token for the vault, asked for without any SDK. */
export async function rawToken({
  authority = 'https://login.microsoftonline.com',
  tenant,
  clientId,
  clientSecret,
  ca,
}: AzureGiven): Promise<string> {
  const form = {
    grant_type: 'client_credentials',
    client_id: clientId,
    client_secret: clientSecret,
    scope: 'https://vault.azure.net/.default',
  }
  const { status, body } = await raw(`${authority}/${tenant}/oauth2/v2.0/token`, ca, { method: 'POST', form })
  if (status !== 200) throw new Error(`the authority gave no token: ${status}`)
  return String(body.access_token)
}
