import { randomUUID } from 'node:crypto'
import { Refusal } from './aws-accounts.ts'

const dayMs = 86_400_000
const valueBytesMax = 65_536
const labelsMax = 20
const versionsMax = 100
const stageCurrent = 'AWSCURRENT'
const stagePrevious = 'AWSPREVIOUS'

interface Version {
  readonly id: string
  readonly createdAt: number
  readonly text: string | undefined
  /** In base64, as it goes over the wire. */
  readonly bytes: string | undefined
  readonly labels: Set<string>
}

interface Secret {
  readonly name: string
  readonly arn: string
  readonly versions: Map<string, Version>
  readonly kmsKeyId: string | undefined
  readonly tags: readonly unknown[]
  deletedAt: number | undefined
  rotates: boolean
}

/** A request's JSON. */
export type Input = Readonly<Record<string, unknown>>

/**
 * The secrets of one account and region, as Secrets Manager keeps them. It copies, each from the page of its operation below
 * https://docs.aws.amazon.com/secretsmanager/latest/apireference/ :
 * CreateSecret and PutSecretValue take a ClientRequestToken of 32 to 64 characters as the id of the version; the same token with the same value
 * changes nothing, with another value it is ResourceExistsException. The first version bears AWSCURRENT whatever is asked. A label is on one version:
 * it leaves the one it was on. AWSPREVIOUS follows AWSCURRENT. UpdateSecretVersionStage wants the version that bears the label named in
 * RemoveFromVersionId, and AWSCURRENT cannot be taken away. A secret whose deletion is scheduled answers InvalidRequestException to all but
 * DescribeSecret, ListSecretVersionIds and RestoreSecret. Limits (userguide/reference_limits.html): names of 512 characters of letters, digits and
 * /_+=.@-, values of 65536 bytes and not empty, 20 labels, about 100 versions, of which those without a label and older than a day are dropped.
 * Pages hold at most 100; ListSecrets filters names by a case-sensitive prefix and leaves out what is scheduled for deletion.
 * It copies none of the departures of moto (the default version does not follow its label, AWSPENDING is overwritten under one token, writes to deleted secrets) and
 * of ministack (tokens are not compared, displaced versions are gone).
 */
export class AwsSecrets {
  readonly #secrets = new Map<string, Secret>()
  readonly #now: () => number
  readonly #region: string
  /** How many a page holds at most. */
  pageMax = 100

  constructor(now: () => number, region: string) {
    this.#now = now
    this.#region = region
  }

  /** Puts a value there without any request. */
  put(name: string, text: string): void {
    const secret = this.#secrets.get(name)
    if (secret === undefined) this.#create({ Name: name, SecretString: text, ClientRequestToken: randomUUID() })
    else this.#add(secret, { SecretString: text, ClientRequestToken: randomUUID() }, [stageCurrent])
  }

  /** A secret that is there. */
  secret(name: string): Secret {
    const secret = this.#secrets.get(name)
    if (secret === undefined) throw new Error(`the fake has no secret ${name}`)
    return secret
  }

  /** Answers one operation. */
  answer(operation: string, input: Input): object {
    const run = this.#operations[operation]
    if (run === undefined) throw new Refusal('UnknownOperationException', '')
    return run(input)
  }

  readonly #operations: Readonly<Record<string, (input: Input) => object>> = {
    CreateSecret: input => this.#create(input),
    PutSecretValue: input => this.#putValue(input),
    GetSecretValue: input => this.#value(input),
    DescribeSecret: input => this.#described(this.#found(input)),
    ListSecretVersionIds: input => this.#versions(input),
    ListSecrets: input => this.#list(input),
    UpdateSecretVersionStage: input => this.#move(input),
    DeleteSecret: input => this.#delete(input),
    RestoreSecret: input => this.#restore(input),
  }

  #create(input: Input): object {
    const name = String(input.Name)
    if (!/^[\w/+=.@-]{1,512}$/.test(name)) {
      throw new Refusal(
        'ValidationException',
        'Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!',
      )
    }
    const there = this.#secrets.get(name)
    if (there?.deletedAt !== undefined) {
      throw new Refusal(
        'InvalidRequestException',
        "You can't create this secret because a secret with this name is already scheduled for deletion.",
      )
    }
    if (there !== undefined) {
      const version = there.versions.get(String(input.ClientRequestToken))
      if (version === undefined || !isSame(version, input)) {
        throw new Refusal('ResourceExistsException', `The operation failed because the secret ${name} already exists.`)
      }
      return { ARN: there.arn, Name: name, VersionId: version.id }
    }
    if (hasValue(input)) mustFit(input)
    const suffix = randomUUID().replaceAll('-', '').slice(0, 6)
    const arn = `arn:aws:secretsmanager:${this.#region}:123456789012:secret:${name}-${suffix}`
    const { KmsKeyId: key, Tags: tags } = input
    const secret: Secret = {
      name,
      arn,
      versions: new Map(),
      kmsKeyId: typeof key === 'string' ? key : undefined,
      tags: Array.isArray(tags) ? tags : [],
      deletedAt: undefined,
      rotates: false,
    }
    this.#secrets.set(name, secret)
    if (!hasValue(input)) return { ARN: arn, Name: name }
    return { ARN: arn, Name: name, VersionId: this.#add(secret, input, [stageCurrent]).id }
  }

  #putValue(input: Input): object {
    const secret = this.#live(input)
    mustFit(input)
    const { VersionStages: asked } = input
    const labels = Array.isArray(asked) ? asked.map(String) : [stageCurrent]
    const there = secret.versions.get(String(input.ClientRequestToken))
    if (there !== undefined && !isSame(there, input)) {
      throw new Refusal(
        'ResourceExistsException',
        `You can't use ClientRequestToken ${there.id} because that value is already in use for a version of secret ${secret.arn}.`,
      )
    }
    const version = there ?? this.#add(secret, input, labels)
    return { ARN: secret.arn, Name: secret.name, VersionId: version.id, VersionStages: [...version.labels] }
  }

  #value(input: Input): object {
    const secret = this.#live(input)
    const { VersionId: id, VersionStage: stage } = input
    const label = typeof stage === 'string' ? stage : stageCurrent
    const version = typeof id === 'string' ? secret.versions.get(id) : bearer(secret, label)
    if (version === undefined) {
      const what = typeof id === 'string' ? `VersionId: ${id}` : `staging label: ${label}`
      throw new Refusal('ResourceNotFoundException', `Secrets Manager can't find the specified secret value for ${what}`)
    }
    if (typeof id === 'string' && typeof stage === 'string' && !version.labels.has(stage)) {
      throw new Refusal('InvalidRequestException', 'You provided a VersionStage that is not associated to the provided VersionId.')
    }
    return {
      ARN: secret.arn,
      Name: secret.name,
      VersionId: version.id,
      VersionStages: [...version.labels],
      CreatedDate: version.createdAt / 1_000,
      ...(version.text === undefined ? {} : { SecretString: version.text }),
      ...(version.bytes === undefined ? {} : { SecretBinary: version.bytes }),
    }
  }

  #described(secret: Secret): object {
    const labelled = [...secret.versions.values()].filter(({ labels }) => labels.size > 0)
    return {
      ARN: secret.arn,
      Name: secret.name,
      RotationEnabled: secret.rotates,
      ...(secret.kmsKeyId === undefined ? {} : { KmsKeyId: secret.kmsKeyId }),
      Tags: secret.tags,
      VersionIdsToStages: Object.fromEntries(labelled.map(({ id, labels }) => [id, [...labels]])),
      ...(secret.deletedAt === undefined ? {} : { DeletedDate: secret.deletedAt / 1_000 }),
    }
  }

  #versions(input: Input): object {
    const secret = this.#found(input)
    const all = [...secret.versions.values()].filter(({ labels }) => input.IncludeDeprecated === true || labels.size > 0)
    // in no order that anyone promised
    all.sort((a, b) => (a.id < b.id ? -1 : 1))
    const { items, next } = this.#page(all, input)
    const told = items.map(({ id, labels, createdAt }) => ({ VersionId: id, VersionStages: [...labels], CreatedDate: createdAt / 1_000 }))
    return { ARN: secret.arn, Name: secret.name, Versions: told, ...next }
  }

  #list(input: Input): object {
    const filters = (input.Filters ?? []) as readonly { readonly Key: string; readonly Values: readonly string[] }[]
    const fits = (name: string) => filters.every(({ Key, Values }) => Key === 'name' && Values.some(value => name.startsWith(value)))
    const all = [...this.#secrets.values()].filter(({ name, deletedAt }) => deletedAt === undefined && fits(name))
    const { items, next } = this.#page(all, input)
    return { SecretList: items.map(({ name, arn }) => ({ Name: name, ARN: arn })), ...next }
  }

  #page<T>(all: readonly T[], { MaxResults: asked, NextToken: token }: Input): { items: readonly T[]; next: { NextToken?: string } } {
    const size = Math.min(typeof asked === 'number' ? asked : 100, this.pageMax)
    const start = token === undefined ? 0 : Number(/^page-(\d+)$/.exec(String(token))?.[1] ?? Number.NaN)
    if (Number.isNaN(start)) throw new Refusal('InvalidNextTokenException', 'The NextToken value is invalid.')
    const end = start + size
    return { items: all.slice(start, end), next: end < all.length ? { NextToken: `page-${end}` } : {} }
  }

  #move(input: Input): object {
    const secret = this.#live(input)
    const { VersionStage: stage, RemoveFromVersionId: from, MoveToVersionId: to } = input
    const label = String(stage)
    const holder = bearer(secret, label)
    for (const id of [from, to]) {
      if (id !== undefined && !secret.versions.has(String(id))) {
        throw new Refusal('ResourceNotFoundException', "Secrets Manager can't find the specified secret version.")
      }
    }
    if (to === undefined && label === stageCurrent) {
      throw new Refusal(
        'InvalidParameterException',
        'You can only move staging label AWSCURRENT to a different secret version. It can’t be completely removed.',
      )
    }
    if (holder?.id !== from) {
      const why = holder === undefined ? 'is attached to no version' : `is currently attached to version ${holder.id}`
      throw new Refusal(
        'InvalidParameterException',
        from === undefined
          ? `The parameter RemoveFromVersionId can't be empty. Staging label ${label} ${why}, so you must explicitly reference that version in RemoveFromVersionId.`
          : `The parameter RemoveFromVersionId is invalid. Staging label ${label} ${why}.`,
      )
    }
    if (to === undefined) holder?.labels.delete(label)
    else attach(secret, String(to), label)
    return { ARN: secret.arn, Name: secret.name }
  }

  #delete(input: Input): object {
    const secret = this.#live(input)
    const { RecoveryWindowInDays: days } = input
    if (typeof days !== 'number' || days < 7 || days > 30) {
      throw new Refusal('InvalidParameterException', 'The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).')
    }
    secret.deletedAt = this.#now() + days * dayMs
    return { ARN: secret.arn, Name: secret.name, DeletionDate: secret.deletedAt / 1_000 }
  }

  #restore(input: Input): object {
    const secret = this.#found(input)
    secret.deletedAt = undefined
    return { ARN: secret.arn, Name: secret.name }
  }

  #found({ SecretId: id }: Input): Secret {
    const secret = this.#secrets.get(String(id)) ?? [...this.#secrets.values()].find(({ arn }) => arn === id || arn.slice(0, -7) === id)
    if (secret === undefined) throw new Refusal('ResourceNotFoundException', "Secrets Manager can't find the specified secret.")
    return secret
  }

  #live(input: Input): Secret {
    const secret = this.#found(input)
    if (secret.deletedAt === undefined) return secret
    throw new Refusal('InvalidRequestException', "You can't perform this operation on the secret because it was marked for deletion.")
  }

  #add(secret: Secret, input: Input, asked: readonly string[]): Version {
    const { ClientRequestToken: token, SecretString: text, SecretBinary: bytes } = input
    const id = String(token)
    if (id.length < 32 || id.length > 64)
      throw new Refusal('InvalidParameterException', 'ClientRequestToken must be 32-64 characters long.')
    const labels = secret.versions.size === 0 ? [...new Set([...asked, stageCurrent])] : asked
    const borne = [...secret.versions.values()].reduce((sum, version) => sum + version.labels.size, 0)
    if (borne + labels.length > labelsMax) throw new Refusal('LimitExceededException', 'You have exceeded the number of staging labels.')
    const version = {
      id,
      createdAt: this.#now(),
      text: typeof text === 'string' ? text : undefined,
      bytes: typeof bytes === 'string' ? bytes : undefined,
      labels: new Set<string>(),
    }
    secret.versions.set(id, version)
    for (const label of labels) attach(secret, id, label)
    this.#prune(secret)
    return version
  }

  #prune(secret: Secret): void {
    const old = [...secret.versions.values()].filter(({ labels, createdAt }) => labels.size === 0 && createdAt < this.#now() - dayMs)
    for (const { id } of old.slice(0, Math.max(0, secret.versions.size - versionsMax))) secret.versions.delete(id)
  }
}

function attach(secret: Secret, id: string, label: string): void {
  const holder = bearer(secret, label)
  if (holder?.id === id) return
  holder?.labels.delete(label)
  if (label === stageCurrent && holder !== undefined) attach(secret, holder.id, stagePrevious)
  secret.versions.get(id)?.labels.add(label)
  if (label === stageCurrent) secret.versions.get(id)?.labels.delete(stagePrevious)
}

function bearer(secret: Secret, label: string): Version | undefined {
  return [...secret.versions.values()].find(({ labels }) => labels.has(label))
}

function hasValue(input: Input): boolean {
  return input.SecretString !== undefined || input.SecretBinary !== undefined
}

function isSame({ text, bytes }: Version, { SecretString, SecretBinary }: Input): boolean {
  return text === SecretString && bytes === SecretBinary
}

function mustFit({ SecretString: text, SecretBinary: bytes }: Input): void {
  if ((text === undefined) === (bytes === undefined)) {
    throw new Refusal('InvalidRequestException', 'You must provide either SecretString or SecretBinary.')
  }
  const size = typeof text === 'string' ? Buffer.byteLength(text) : Buffer.from(String(bytes), 'base64').byteLength
  if (size < 1 || size > valueBytesMax) {
    throw new Refusal('ValidationException', `1 validation error detected: Member must have length between 1 and ${valueBytesMax}`)
  }
}
