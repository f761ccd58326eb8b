import { BrokerError, type ErrorCode } from '@keyturn/core'
import { classify, readable } from './classify.ts'
import { Keys } from './keys.ts'
import { quietSdk } from './sdk.ts'
import type { Wire } from './wire.ts'

/** Where roles are assumed. */
export interface StsSettings {
  readonly region: string
  /** Default: AWS's own of the region. */
  readonly endpoint: string | undefined
  readonly wire: Wire
}

/** A role to assume, as what, and with which id of its owner. */
export interface Role {
  readonly roleArn: string
  readonly sessionName: string
  readonly externalId?: string | undefined
}

/** Assumes a role with keys. https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html */
export async function assumeRole(source: Keys, { roleArn, sessionName, externalId }: Role, settings: StsSettings): Promise<Keys> {
  const { fromTemporaryCredentials } = await import('@aws-sdk/credential-providers')
  const provider = fromTemporaryCredentials({
    params: { RoleArn: roleArn, RoleSessionName: sessionName, ...(externalId === undefined ? {} : { ExternalId: externalId }) },
    masterCredentials: source.reveal(),
    clientConfig: configOf(settings),
  })
  return keysOf(roleArn, provider)
}

/** Exchanges a token for a role. https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html */
export async function assumeByToken(token: string, { roleArn, sessionName }: Role, settings: StsSettings): Promise<Keys> {
  const { fromWebToken } = await import('@aws-sdk/credential-providers')
  return keysOf(roleArn, fromWebToken({ roleArn, roleSessionName: sessionName, webIdentityToken: token, clientConfig: configOf(settings) }))
}

function configOf({ region, endpoint, wire }: StsSettings) {
  return { ...quietSdk, region, requestHandler: wire, ...(endpoint === undefined ? {} : { endpoint }) }
}

interface Identity {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
  readonly expiration?: Date | undefined
}

async function keysOf(roleArn: string, provider: () => Promise<Identity>): Promise<Keys> {
  try {
    const { accessKeyId, secretAccessKey, sessionToken, expiration } = await provider()
    return new Keys(accessKeyId, secretAccessKey, { sessionToken, endsAt: expiration })
  } catch (cause) {
    const { code, retryAfterMs } = classify(readable(cause))
    const name = cause instanceof Error ? cause.name : 'an error of no kind'
    throw new BrokerError(loginCode(code), `aws: role ${roleArn} could not be assumed (${name})`, {
      hint: 'check the role, its trust policy, and the external id or token that it asks for',
      cause,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    })
  }
}

/** A login changes nothing: whatever is not temporary is a refusal of ours. */
function loginCode(code: ErrorCode): ErrorCode {
  if (code === 'outcome_unknown') return 'unavailable'
  return code === 'unavailable' || code === 'throttled' || code === 'corrupt' ? code : 'unauthenticated'
}
