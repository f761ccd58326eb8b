import { readFile } from 'node:fs/promises'
import { BrokerError } from '@keyturn/core'
import { Keys } from './keys.ts'
import type { Environment } from './profile.ts'

const answerMs = 2_000
const answerBytesMax = 65_536
const tokenSeconds = 21_600
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
const containerHosts = /^(?:169\.254\.170\.2|169\.254\.170\.23|\[fd00:ec2::23\]|127\.\d+\.\d+\.\d+|\[::1\]|localhost)$/

/** Whether a container's environment offers credentials. */
export function offersContainer(env: Environment): boolean {
  return (env.AWS_CONTAINER_CREDENTIALS_FULL_URI ?? env.AWS_CONTAINER_CREDENTIALS_RELATIVE_URI ?? '') !== ''
}

/** The role of a task of ECS, or of a pod of EKS. https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html */
export async function containerKeys(env: Environment): Promise<Keys> {
  const { AWS_CONTAINER_AUTHORIZATION_TOKEN: token, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: file } = env
  const url = containerUrl(env)
  const authorization = file === undefined ? token : (await tokenIn(file)).trim()
  const answer = await ask(url, { headers: authorization === undefined ? {} : { authorization } }, 'the container')
  if (answer.status !== 200) throw withheld('the container', answer.status)
  return keysOf(answer.text, 'the container')
}

/** The role of an instance of EC2, by IMDSv2. https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html */
export async function instanceKeys(env: Environment): Promise<Keys> {
  const root = (env.AWS_EC2_METADATA_SERVICE_ENDPOINT ?? 'http://169.254.169.254').replace(/\/$/, '')
  const session = await ask(
    `${root}/latest/api/token`,
    { method: 'PUT', headers: { 'x-aws-ec2-metadata-token-ttl-seconds': String(tokenSeconds) } },
    'the instance',
  )
  if (session.status !== 200) throw withheld('the instance', session.status)
  const headers = { 'x-aws-ec2-metadata-token': session.text }
  const folder = `${root}/latest/meta-data/iam/security-credentials/`
  const roles = await ask(folder, { headers }, 'the instance')
  const [role = ''] = roles.text.trim().split('\n')
  if (roles.status !== 200 || role === '') throw withheld('the instance', roles.status)
  const answer = await ask(`${folder}${encodeURIComponent(role)}`, { headers }, 'the instance')
  if (answer.status !== 200) throw withheld('the instance', answer.status)
  return keysOf(answer.text, 'the instance')
}

function containerUrl(env: Environment): string {
  const relative = env.AWS_CONTAINER_CREDENTIALS_RELATIVE_URI
  // as the SDKs: the relative one first
  if (relative !== undefined && relative !== '') return `http://169.254.170.2${relative}`
  const url = URL.parse(env.AWS_CONTAINER_CREDENTIALS_FULL_URI ?? '')
  if (url === null) {
    throw new BrokerError('unauthenticated', 'aws: this is no container with a role: AWS_CONTAINER_CREDENTIALS_FULL_URI is not set', {
      hint: 'give the task or the pod a role, or choose another auth',
    })
  }
  if (url.protocol === 'https:' || (url.protocol === 'http:' && containerHosts.test(url.hostname))) return url.href
  throw new BrokerError('unauthenticated', `aws: AWS_CONTAINER_CREDENTIALS_FULL_URI names ${url.host}, which is no host of a container`, {
    hint: 'plain http is for the loopback and for the addresses of ECS and EKS',
  })
}

async function tokenIn(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new BrokerError('unauthenticated', `aws: the token file of the container ${file} cannot be read`, {
      hint: 'check its path and rights',
      cause,
    })
  }
}

async function ask(url: string, request: RequestInit, who: string): Promise<{ status: number; text: string }> {
  try {
    const answer = await fetch(url, { ...request, redirect: 'error', signal: AbortSignal.timeout(answerMs) })
    return { status: answer.status, text: await textOf(answer) }
  } catch (cause) {
    throw new BrokerError('unavailable', `aws: the credentials of ${who} cannot be reached`, {
      hint: 'check that this runs where such credentials are, or choose another auth',
      cause,
    })
  }
}

/** Reads no more than a credential can be: whoever answers here need not be who was meant. */
async function textOf({ body }: Response): Promise<string> {
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of body ?? []) {
    bytes += part.byteLength
    if (bytes > answerBytesMax) throw new Error(`the answer is larger than ${answerBytesMax} bytes`)
    parts.push(part)
  }
  return Buffer.concat(parts).toString()
}

function withheld(who: string, status: number): BrokerError {
  if (status >= 500 || status === 429) return new BrokerError('unavailable', `aws: ${who} answers ${status} about its credentials`)
  return new BrokerError('unauthenticated', `aws: ${who} gives no credentials (${status})`, {
    hint: 'give it a role, or choose another auth',
  })
}

function keysOf(text: string, who: string): Keys {
  const found = parsed(text)
  const { AccessKeyId: id, SecretAccessKey: secret, Token: sessionToken, Expiration: end } = found
  const endsAt = new Date(typeof end === 'string' ? end : Number.NaN)
  if (typeof id === 'string' && typeof secret === 'string' && typeof sessionToken === 'string' && !Number.isNaN(endsAt.getTime())) {
    return new Keys(id, secret, { sessionToken, endsAt })
  }
  throw new BrokerError('unauthenticated', `aws: ${who} answers with something else than credentials`, { hint: 'check its role' })
}

function parsed(text: string): Readonly<Record<string, unknown>> {
  try {
    const found: unknown = JSON.parse(text)
    // what its members are is looked at by the caller
    return typeof found === 'object' && found !== null ? (found as Readonly<Record<string, unknown>>) : {}
  } catch {
    return {}
  }
}
