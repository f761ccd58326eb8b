import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { BrokerError } from '@keyturn/core'
import type { AwsAuth } from './options.ts'

/** Where variables of AWS's tools are looked for. */
export type Environment = Readonly<Record<string, string | undefined>>

/** Who a profile is: a way to log in, whose source may be a profile's own way again. */
export type ProfileAuth =
  | Exclude<AwsAuth, { method: 'assume-role' }>
  | (Omit<Extract<AwsAuth, { method: 'assume-role' }>, 'source'> & { readonly source?: ProfileAuth | undefined })

type Section = Readonly<Record<string, string | undefined>>
type Sections = ReadonlyMap<string, Section>

/** How deep roles may be assumed through one another: far more than anyone needs, and an end for profiles that name each other. */
const depthMax = 8
// what starts a program or a browser log-in is never begun unasked: https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html
const unasked = /^(?:credential_process|sso_|login_session)/

/**
 * What a profile says: keys, a role to assume with the keys of another profile, or a role for a token file. The format is AWS's:
 * https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
 */
export async function readProfile(
  env: Environment,
  { name, file }: { readonly name?: string | undefined; readonly file?: string | undefined },
): Promise<ProfileAuth> {
  const wanted = name ?? env.AWS_PROFILE ?? 'default'
  return authOf(await profiles(env, file), wanted, [])
}

/** Whether there is such a profile at all. */
export async function hasProfile(env: Environment): Promise<boolean> {
  return env.AWS_PROFILE !== undefined || (await profiles(env, undefined)).has('default')
}

async function profiles(env: Environment, file: string | undefined): Promise<Sections> {
  const folder = join(env.HOME ?? homedir(), '.aws')
  const named = file !== undefined
  const [config, credentials] = named
    ? [file, file]
    : [env.AWS_CONFIG_FILE ?? join(folder, 'config'), env.AWS_SHARED_CREDENTIALS_FILE ?? join(folder, 'credentials')]
  const all = new Map<string, Section>()
  // a key in the credentials file wins
  for (const path of new Set([config, credentials])) {
    for (const [name, section] of sectionsOf(await textOf(path, named))) all.set(name, { ...all.get(name), ...section })
  }
  return all
}

async function textOf(path: string, named: boolean): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    const isAbsent = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT'
    if (isAbsent && !named) return ''
    throw new BrokerError('unauthenticated', `aws: the file of profiles ${path} cannot be read`, {
      hint: 'correct auth.file, or its rights',
      cause,
    })
  }
}

function sectionsOf(text: string): Sections {
  const sections = new Map<string, Record<string, string>>()
  let section: Record<string, string> | undefined
  for (const line of text.split(/\r?\n/)) {
    // an indented line belongs to the key before it; none of those are about credentials
    if (/^\s/.test(line) || /^[#;]/.test(line)) continue
    const [, head] = /^\[\s*(?:profile\s+)?([^\]]+?)\s*\]/.exec(line) ?? []
    if (head !== undefined) {
      section = sections.get(head) ?? {}
      sections.set(head, section)
      continue
    }
    const [, key, value] = /^([^=\s]+)\s*=\s*(.*?)\s*$/.exec(line) ?? []
    if (section !== undefined && key !== undefined) section[key.toLowerCase()] = (value ?? '').replace(/\s[#;].*$/, '')
  }
  return sections
}

function authOf(all: Sections, name: string, through: readonly string[]): ProfileAuth {
  const section = all.get(name)
  if (section === undefined) throw refused(name, 'is in no file of profiles', 'correct the name of the profile')
  if (through.length > depthMax) throw refused(name, 'leads through too many other profiles', 'see to it that no profiles name each other')
  const { role_arn: roleArn, source_profile: sourceName, credential_source: sourceKind, web_identity_token_file: tokenFile } = section
  const sessionName = section.role_session_name ?? 'keyturn'
  if (roleArn !== undefined && (sourceName !== undefined || sourceKind !== undefined)) {
    const source = sourceName === undefined ? ofKind(name, sourceKind) : sourceOf(all, name, sourceName, through)
    return { method: 'assume-role', roleArn, sessionName, externalId: section.external_id, source }
  }
  if (roleArn !== undefined && tokenFile !== undefined) return { method: 'web-identity', roleArn, tokenFile, sessionName }
  return keysOf(name, section)
}

/** A profile may be its own source: then its keys count. */
function sourceOf(all: Sections, name: string, source: string, through: readonly string[]): ProfileAuth {
  return source === name ? keysOf(name, all.get(name) ?? {}) : authOf(all, source, [...through, name])
}

function ofKind(name: string, kind: string | undefined): ProfileAuth {
  if (kind === 'Environment') return { method: 'environment' }
  if (kind === 'Ec2InstanceMetadata') return { method: 'instance' }
  if (kind === 'EcsContainer') return { method: 'container' }
  throw refused(name, 'has a credential_source that is none', 'write Environment, Ec2InstanceMetadata or EcsContainer')
}

function keysOf(name: string, section: Section): ProfileAuth {
  const { aws_access_key_id: accessKeyId, aws_secret_access_key: secretAccessKey, aws_session_token: sessionToken } = section
  if (accessKeyId !== undefined && secretAccessKey !== undefined) return { method: 'static', accessKeyId, secretAccessKey, sessionToken }
  const asks = Object.keys(section).find(key => unasked.test(key))
  if (asks === undefined) throw refused(name, 'holds no credential', 'give it keys, or a role_arn with its source')
  throw refused(
    name,
    `asks for ${asks}, which a broker does not begin`,
    'give keys or a role: a program or a log-in in a browser is not started',
  )
}

function refused(name: string, why: string, hint: string): BrokerError {
  return new BrokerError('unauthenticated', `aws: profile ${name} ${why}`, { hint })
}
