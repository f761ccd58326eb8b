import type { DescribeSecretCommandOutput } from '@aws-sdk/client-secrets-manager'
import { BrokerError, type Etag, type VersionId, type VersionInfo } from '@keyturn/core'
import { isNamed, scheduledDeletion } from './classify.ts'
import type { Client } from './client.ts'
import { arnOf } from './names.ts'

/** The label of the version that readers get. https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html */
export const current = 'AWSCURRENT'
export const previous = 'AWSPREVIOUS'
export const pending = 'AWSPENDING'

/** What AWS knows of a secret without its values. */
export interface Known {
  /** The version that readers get; undefined for a secret that never had a value. */
  readonly current: string | undefined
  /** The labels of each version that has any. */
  readonly labels: ReadonlyMap<string, readonly string[]>
  readonly deleted: boolean
  /** AWS rotates it too. */
  readonly rotates: boolean
}

/** Looks at a secret; undefined when there is none. `invalid_argument` when AWS takes the id for another secret. */
export async function find(client: Client, id: string, signal: AbortSignal): Promise<Known | undefined> {
  try {
    const answer = await client.describe(id, signal)
    mustBe(id, answer)
    return knownOf(answer)
  } catch (error) {
    if (isNamed(error, 'ResourceNotFoundException')) return undefined
    throw error
  }
}

/** A secret that is there and not taken away; else `not_found`. */
export async function present(client: Client, id: string, signal: AbortSignal): Promise<Known> {
  const known = await find(client, id, signal)
  if (known === undefined) throw absent(id)
  if (known.deleted) throw taken(id)
  return known
}

/** AWS takes an ARN without its end for the beginning of one: what comes back must be what was asked for. */
export function mustBe(id: string, answer: { readonly ARN?: string | undefined; readonly Name?: string | undefined }): void {
  const isAsked = arnOf(id) === undefined ? answer.Name === id : answer.ARN === id
  if (isAsked) return
  throw new BrokerError('invalid_argument', `aws: ${id} was answered with another secret`, {
    hint: 'write the whole ARN, with the hyphen and six characters at its end, or the name',
  })
}

/** Before a change by ARN: that it is this secret which will be changed. A name is never completed, so it needs no look. */
export async function mustMean(client: Client, id: string, signal: AbortSignal): Promise<void> {
  if (arnOf(id) !== undefined && (await find(client, id, signal)) === undefined) throw absent(id)
}

/** Every version that AWS still keeps, newest first. */
export async function versionsOf(client: Client, id: string, known: Known, signal: AbortSignal): Promise<readonly VersionInfo[]> {
  const all: VersionInfo[] = []
  for (let token: string | undefined, page = 0; page === 0 || token !== undefined; page += 1) {
    const answer = await client.versions(id, token, signal)
    for (const { VersionId: version, CreatedDate: createdAt } of answer.Versions ?? []) {
      if (version === undefined || createdAt === undefined) throw new BrokerError('corrupt', 'aws: a version has no id or no time')
      all.push(infoOf(version, createdAt, known))
    }
    token = nextToken(answer, token)
  }
  // where times are equal the labels decide, then the order in which they came: oldest first
  return all.reverse().sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime() || ranks[b.state] - ranks[a.state])
}

/** A version as the broker knows it. The etag of a secret is its current version. */
export function infoOf(version: string, createdAt: Date, known: Known): VersionInfo {
  const labels = version === known.current ? [current] : (known.labels.get(version) ?? [])
  return { version: version as VersionId, state: stateOf(labels), createdAt, etag: (known.current ?? version) as Etag }
}

/** What a version is by its labels. One that bears several is what readers would say. */
export function stateOf(labels: readonly string[]): 'current' | 'pending' | 'previous' | 'older' {
  if (labels.includes(current)) return 'current'
  if (labels.includes(previous)) return 'previous'
  return labels.includes(pending) ? 'pending' : 'older'
}

/** Whether this can be the id of a version at all. https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html */
export function isVersionId(text: string): boolean {
  return /^[\x21-\x7e]{32,64}$/.test(text)
}

/** Whether AWS says that the deletion of the secret is scheduled. */
export function saysTaken(error: unknown): boolean {
  return isNamed(error, 'InvalidRequestException') && scheduledDeletion.test(error.message)
}

/** Never written, or gone for good. */
export function absent(path: string): BrokerError {
  return new BrokerError('not_found', `aws: ${path} does not exist`)
}

/** A secret whose deletion is scheduled. */
export function taken(path: string): BrokerError {
  return new BrokerError('not_found', `aws: ${path} is soft-deleted: its deletion is scheduled`, {
    hint: 'restore it, or write a new version',
    detail: { reason: 'soft_deleted' },
  })
}

/** Somebody else was first. */
export function stale(path: string): BrokerError {
  return new BrokerError('conflict', `aws: ${path} has another current version than expected`, { hint: 'read it again' })
}

/** Where the next page is; undefined after the last one. A page that leads to itself is `corrupt`. */
export function nextToken({ NextToken: next }: { readonly NextToken?: string | undefined }, token: string | undefined): string | undefined {
  if (next === undefined || next === '') return undefined
  if (next === token) throw new BrokerError('corrupt', 'aws: the pages of a list do not end')
  return next
}

const ranks: Readonly<Record<VersionInfo['state'], number>> = { pending: 3, current: 2, previous: 1, older: 0, disabled: 0, destroyed: 0 }

function knownOf({ VersionIdsToStages: stages, DeletedDate: deletedAt, RotationEnabled: rotates }: DescribeSecretCommandOutput): Known {
  const labels = new Map(Object.entries(stages ?? {}))
  const [version] = [...labels].find(([, each]) => each.includes(current)) ?? []
  return { current: version, labels, deleted: deletedAt !== undefined, rotates: rotates === true }
}
