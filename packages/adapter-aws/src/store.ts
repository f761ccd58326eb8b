import { BrokerError, type OpenContext, type SecretVersion, type StoreAdapter } from '@keyturn/core'
import { classify, isNamed } from './classify.ts'
import { Client } from './client.ts'
import { Credentials } from './credentials.ts'
import { examiner } from './examine.ts'
import { listed } from './listing.ts'
import { secretId } from './names.ts'
import type { AwsOptions } from './options.ts'
import type { Environment } from './profile.ts'
import { addressIn, regionIn } from './region.ts'
import {
  absent,
  current,
  find,
  infoOf,
  isVersionId,
  type Known,
  mustBe,
  pending,
  present,
  saysTaken,
  stale,
  taken,
  versionsOf,
} from './secret.ts'
import { sourceOf } from './sources.ts'
import { decodeValue, refusal, valueBytesMax } from './values.ts'
import { Wire } from './wire.ts'
import { makeCurrent, Writes } from './writes.ts'

/** The longest wait for one answer, should nobody set a deadline; a `Store` has its own, shorter or longer. */
const answerMs = 60_000

/**
 * Opens a section of kind `aws` as a store of the secrets of one region. Nothing is sent before the first call. `env` is where the variables of
 * AWS's tools are looked for.
 */
export async function open(options: AwsOptions, context: OpenContext, { env }: { readonly env: Environment }): Promise<StoreAdapter> {
  const client = clientOf(options, context, env)
  const writes = new Writes(client, options, () => context.clock.now())
  return {
    kind: 'aws',
    guarantees: { cas: true, idempotent: true, valueBytesMax },
    ...reading(client),
    write: async (path, value, options) => writes.write(path, value, options),
    ...whole(client, options.recoveryWindowDays),
    stages: {
      stage: async (path, value, options) => writes.stage(path, value, options),
      async promote(path, { from, to }, { signal }) {
        await makeCurrent(client, path, { from: from ?? undefined, to }, signal)
        await unmarked(client, secretId(path), to, signal)
      },
    },
    refuses: refusal,
    examine: examiner(client),
    classify,
    async close() {
      client.close()
    },
  }
}

function clientOf(options: AwsOptions, { clock }: OpenContext, env: Environment): Client {
  const region = options.region ?? regionIn(env)
  const wire = new Wire({ ca: options.ca, proxy: options.proxy, maxInFlight: options.maxInFlight, answerMs })
  const sts = { region, endpoint: addressIn(env, 'AWS_ENDPOINT_URL_STS'), wire }
  const credentials = new Credentials(sourceOf(options.auth, env, sts), clock)
  return new Client({ region, endpoint: options.endpoint ?? addressIn(env, 'AWS_ENDPOINT_URL_SECRETS_MANAGER'), credentials, wire })
}

function reading(client: Client): Pick<StoreAdapter, 'read' | 'list'> & Required<Pick<StoreAdapter, 'versions'>> {
  return {
    async read(path, { version, signal }) {
      const id = secretId(path)
      if (version === undefined) return readBy(client, id, { VersionStage: current }, signal)
      if (!isVersionId(version)) throw await noVersion(client, id, version, signal)
      return readBy(client, id, { VersionId: version }, signal)
    },

    async *list(prefix, { signal }) {
      signal.throwIfAborted()
      yield* listed(client, prefix, signal)
    },

    async *versions(path, { signal }) {
      signal.throwIfAborted()
      const id = secretId(path)
      yield* await versionsOf(client, id, await present(client, id, signal), signal)
    },
  }
}

function whole(client: Client, recoveryWindowDays: number): Required<Pick<StoreAdapter, 'delete' | 'restore'>> {
  return {
    async delete(path, { ifMatch, signal }) {
      const id = secretId(path)
      if (ifMatch === null) throw stale(path)
      const known = await find(client, id, signal)
      if (known === undefined) throw ifMatch === undefined ? absent(path) : stale(path)
      if (ifMatch !== undefined && known.current !== ifMatch) throw stale(path)
      if (known.deleted) return
      await client.delete(id, recoveryWindowDays, signal)
      // AWS compares nothing here, but from now on nobody can write: what is current now is what was deleted
      if (ifMatch === undefined || (await find(client, id, signal))?.current === ifMatch) return
      await client.restore(id, signal)
      throw stale(path)
    },

    async restore(path, { signal }) {
      const id = secretId(path)
      const known = await find(client, id, signal)
      if (known === undefined) throw absent(path)
      if (known.deleted) await client.restore(id, signal)
    },
  }
}

type Asked = { readonly VersionId: string } | { readonly VersionStage: string }

async function readBy(client: Client, id: string, which: Asked, signal: AbortSignal): Promise<SecretVersion> {
  const answer = await client.value(id, which, signal).catch(async (error: unknown) => {
    if (saysTaken(error)) throw taken(id)
    if (!isNamed(error, 'ResourceNotFoundException')) throw error
    throw 'VersionId' in which ? await noVersion(client, id, which.VersionId, signal) : absent(id)
  })
  const { VersionId: version, VersionStages: labels = [], CreatedDate: createdAt } = answer
  if (version === undefined || createdAt === undefined)
    throw new BrokerError('corrupt', 'aws: the answer about a secret has no version or no time')
  mustBe(id, answer)
  const isCurrent = 'VersionStage' in which || labels.includes(current)
  const known = isCurrent ? here(version, labels) : await present(client, id, signal)
  return { ...infoOf(version, createdAt, known), value: decodeValue(answer) }
}

/** What the answer about the current version tells of the secret. */
function here(version: string, labels: readonly string[]): Known {
  return { current: version, labels: new Map([[version, labels]]), deleted: false, rotates: false }
}

/** AWS says the same of a secret and of a version that is not there. */
async function noVersion(client: Client, id: string, version: string, signal: AbortSignal): Promise<BrokerError> {
  const known = await find(client, id, signal)
  if (known === undefined) return absent(id)
  return known.deleted ? taken(id) : new BrokerError('not_found', `aws: ${id} has no version ${version}`)
}

/** A version that became current is not pending any more. AWS's own rotations may leave both labels on one version: it harms nobody. */
async function unmarked(client: Client, id: string, version: string, signal: AbortSignal): Promise<void> {
  await client.move(id, { label: pending, from: version }, signal).catch(() => undefined)
}
