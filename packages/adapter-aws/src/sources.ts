import { readFile } from 'node:fs/promises'
import { BrokerError } from '@keyturn/core'
import { Keys } from './keys.ts'
import { containerKeys, instanceKeys, offersContainer } from './metadata.ts'
import type { AwsAuth } from './options.ts'
import { type Environment, hasProfile, type ProfileAuth, readProfile } from './profile.ts'
import { assumeByToken, assumeRole, type StsSettings } from './sts.ts'

/** Where a section's credential comes from. */
export interface Source {
  /** What errors call it. */
  readonly title: string
  /** Whether another try may bring another credential. */
  readonly again: boolean
  /** Reads it anew. Errors: `unauthenticated`, `unavailable`, `throttled`. */
  load(): Promise<Keys>
}

/** The source that `auth` names. Where it is silent: the first that is set up of environment, web-identity, profile, container, instance. */
export function sourceOf(auth: AwsAuth | undefined, env: Environment, sts: StsSettings): Source {
  const method = auth?.method
  return {
    title: method === undefined ? 'the credential of the environment' : `the credential of auth ${method}`,
    again: method !== 'static' && method !== 'environment',
    load: async () => keysOf(auth ?? (await silentAuth(env)), env, sts),
  }
}

/** Whoever a section is that does not say it. The first that is set up is taken, and when it fails no other is tried in its place. */
async function silentAuth(env: Environment): Promise<ProfileAuth> {
  if (isSet(env.AWS_ACCESS_KEY_ID) && isSet(env.AWS_SECRET_ACCESS_KEY)) return { method: 'environment' }
  if (isSet(env.AWS_WEB_IDENTITY_TOKEN_FILE)) return { method: 'web-identity', sessionName: 'keyturn' }
  if (await hasProfile(env)) return { method: 'profile' }
  if (offersContainer(env)) return { method: 'container' }
  if (env.AWS_EC2_METADATA_DISABLED?.toLowerCase() !== 'true') return { method: 'instance' }
  throw new BrokerError('unauthenticated', 'aws: there is no credential: no keys, token file, profile or container in the environment', {
    hint: 'say auth in the section; README.md of adapter-aws lists the ways',
  })
}

async function keysOf(auth: ProfileAuth, env: Environment, sts: StsSettings): Promise<Keys> {
  switch (auth.method) {
    case 'static':
      return new Keys(auth.accessKeyId, auth.secretAccessKey, { sessionToken: auth.sessionToken })
    case 'environment':
      return environmentKeys(env)
    case 'profile':
      return keysOf(await readProfile(env, auth), env, sts)
    case 'web-identity':
      return webIdentityKeys(auth, env, sts)
    case 'container':
      return containerKeys(env)
    case 'instance':
      return instanceKeys(env)
    case 'assume-role':
      return assumeRole(await keysOf(auth.source ?? (await silentAuth(env)), env, sts), auth, sts)
  }
}

function environmentKeys({ AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, AWS_SESSION_TOKEN: token }: Environment): Keys {
  if (isSet(id) && isSet(secret)) return new Keys(id, secret, { sessionToken: isSet(token) ? token : undefined })
  throw new BrokerError('unauthenticated', 'aws: AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY is not set', {
    hint: 'set both, or choose another auth',
  })
}

async function webIdentityKeys(auth: Extract<AwsAuth, { method: 'web-identity' }>, env: Environment, sts: StsSettings): Promise<Keys> {
  const { roleArn = env.AWS_ROLE_ARN, tokenFile = env.AWS_WEB_IDENTITY_TOKEN_FILE } = auth
  if (roleArn === undefined || tokenFile === undefined) {
    throw new BrokerError('unauthenticated', 'aws: auth web-identity lacks its role or its token file', {
      hint: 'give roleArn and tokenFile, or AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE',
    })
  }
  const sessionName =
    env.AWS_ROLE_SESSION_NAME !== undefined && auth.sessionName === 'keyturn' ? env.AWS_ROLE_SESSION_NAME : auth.sessionName
  return assumeByToken(await tokenIn(tokenFile), { roleArn, sessionName }, sts)
}

async function tokenIn(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim()
  } catch (cause) {
    throw new BrokerError('unauthenticated', `aws: the token file ${file} cannot be read`, { hint: 'check its path and rights', cause })
  }
}

function isSet(text: string | undefined): text is string {
  return text !== undefined && text !== ''
}
