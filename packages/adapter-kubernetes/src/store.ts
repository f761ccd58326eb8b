import { createHmac, type KeyObject } from 'node:crypto'
import {
  BrokerError,
  type Etag,
  type SecretValue,
  type StoreAdapter,
  type StorePath,
  type VersionId,
  type VersionInfo,
  type WriteOptions,
} from '@keyturn/core'
import { type Client, isAbsent } from './client.ts'
import { failure } from './failure.ts'
import { namespaceOf, type Place, type Places } from './names.ts'
import { freshSecret, type Intent, mustBeOurs, rewrittenSecret, type SecretObject } from './secret-object.ts'
import { StatusError } from './status.ts'
import { decodeData, encodeData } from './values.ts'

/** How often a write looks again when somebody else wrote in between; then the caller is told. */
const triesMax = 8

/** What the members of this store share. */
export interface StorePorts {
  readonly client: Client
  readonly places: Places
  readonly etagKey: KeyObject
}

/**
 * Kubernetes Secrets: one value, overwritten in place. A version's id is a keyed fingerprint of path and value; the etag is the object's `uid` and
 * `resourceVersion`. An object remembers its last intents in an annotation, which is written together with the value.
 */
export function openSecrets(ports: StorePorts): Required<Pick<StoreAdapter, 'read' | 'write' | 'list' | 'delete'>> {
  const { client, places } = ports
  return {
    async read(path, { version, signal }) {
      const place = places.of(path)
      const found = await client.get(place, signal).catch(failed({ verb: 'get', ...place }))
      const value = heldBy(found, place)
      const info = infoOf(versionOf(ports, path, value), found)
      if (version === undefined || version === info.version) return { ...info, value }
      throw new BrokerError('not_found', `kubernetes: ${path} is not at version ${version}, and a Secret keeps no other`)
    },

    write: (path, value, options) => write(ports, path, value, options),
    list: (prefix, { signal }) => list(ports, prefix, signal),
    delete: (path, options) => remove(ports, path, options),
  }
}

/** Looks, then writes on condition that nothing changed since; so that what must be whole is seen, and nobody else's write is lost. */
async function write(
  ports: StorePorts,
  path: StorePath,
  value: SecretValue,
  { idempotencyKey, ifMatch, signal }: WriteOptions,
): Promise<VersionInfo> {
  const { client, places } = ports
  const place = places.of(path)
  const intent = { key: keyOf(ports, path, idempotencyKey), version: versionOf(ports, path, value) }
  for (let tries = 0; tries < triesMax; tries += 1) {
    const found = await client.find(place, signal).catch(failed({ verb: 'get', ...place }))
    const done = found?.isGoing === false ? found.intents.find(({ key }) => key === intent.key) : undefined
    if (found !== undefined && done !== undefined) return again(ports, path, { found, done, intent })
    mustMatch(found, ifMatch, place)
    if (found !== undefined) mustBeOurs(found, place)
    const made = await attempt(client, place, { found, value, intent, signal })
    if (made === undefined) continue
    if (versionIn(ports, path, made) === intent.version) return infoOf(intent.version, made)
    throw new BrokerError('corrupt', `kubernetes: the cluster keeps another value in ${path} than was sent`, {
      hint: 'an admission webhook changes Secrets: exempt this one',
    })
  }
  throw contended(place)
}

/** Takes away the object that was looked at, and no other of its name. */
async function remove({ client, places }: StorePorts, path: StorePath, { ifMatch, signal }: WriteOptions): Promise<void> {
  const place = places.of(path)
  for (let tries = 0; tries < triesMax; tries += 1) {
    const found = await client.get(place, signal).catch(failed({ verb: 'get', ...place }))
    if (found.isGoing) throw going(place)
    mustMatch(found, ifMatch, place)
    mustBeOurs(found, place)
    const { uid, resourceVersion } = found
    const preconditions = ifMatch === undefined ? { uid } : { uid, resourceVersion }
    const deleted = () => client.delete(place, preconditions, signal).then(() => true)
    if (await unlessOvertaken({ verb: 'delete', ...place }, deleted)) return
  }
  throw contended(place)
}

/** Writes over what was found, or makes it new; undefined when somebody else was faster. */
function attempt(
  client: Client,
  place: Place,
  { found, value, intent, signal }: { found: SecretObject | undefined; value: SecretValue; intent: Intent; signal: AbortSignal },
): Promise<SecretObject | undefined> {
  const data = encodeData(value)
  if (found === undefined)
    return unlessOvertaken({ verb: 'create', ...place }, () => client.create(place, freshSecret(place, data, intent), signal))
  if (found.isImmutable) {
    throw new BrokerError('precondition_failed', `kubernetes: ${place.namespace}/${place.name} is immutable`, {
      hint: 'a Secret with immutable: true can only be deleted and made again',
    })
  }
  return unlessOvertaken({ verb: 'update', ...place }, () => client.replace(place, rewrittenSecret(found, data, intent), signal))
}

/** An intent that the object remembers: what it made then, whatever came after. */
function again(
  ports: StorePorts,
  path: StorePath,
  { found, done, intent }: { found: SecretObject; done: Intent; intent: Intent },
): VersionInfo {
  if (done.version !== intent.version) {
    throw new BrokerError('conflict', `kubernetes: this intent wrote another value to ${path}`, {
      hint: 'use a new idempotency key for a new value',
    })
  }
  if (versionIn(ports, path, found) === done.version) return infoOf(done.version, found)
  // its etag is gone with it
  return { ...infoOf(done.version, found), state: 'older', etag: `${found.uid}/0` as Etag }
}

async function* list({ client, places }: StorePorts, prefix: string, signal: AbortSignal): AsyncIterable<StorePath> {
  signal.throwIfAborted()
  const namespace = namespaceOf(prefix)
  for await (const each of namespace === undefined ? stated({ verb: 'list' }, client.namespaces(signal)) : [namespace]) {
    if (namespace === undefined && !`${each}/`.startsWith(prefix)) continue
    for await (const name of stated({ verb: 'list', namespace: each }, client.secretNames(each, signal))) {
      const path = places.pathOf({ namespace: each, name })
      if (path?.startsWith(prefix)) yield path
    }
  }
}

async function* stated<T>(doing: Parameters<typeof failure>[0], items: AsyncIterable<T>): AsyncIterable<T> {
  try {
    yield* items
  } catch (error) {
    throw failure(doing, error)
  }
}

function failed(doing: Parameters<typeof failure>[0]): (error: unknown) => never {
  return error => {
    throw failure(doing, error)
  }
}

async function unlessOvertaken<T>(doing: Parameters<typeof failure>[0], call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call()
  } catch (error) {
    if ((error instanceof StatusError && error.status === 409) || isAbsent(error)) return undefined
    throw failure(doing, error)
  }
}

function mustMatch(found: SecretObject | undefined, ifMatch: Etag | null | undefined, place: Place): void {
  if (ifMatch === undefined || (ifMatch === null ? found === undefined : found !== undefined && etagOf(found) === ifMatch)) return
  const why = found === undefined ? 'is not there' : ifMatch === null ? 'is there already' : 'was changed since it was read'
  throw new BrokerError('conflict', `kubernetes: ${place.namespace}/${place.name} ${why}`, { hint: 'read it again' })
}

function heldBy(found: SecretObject, place: Place): SecretValue {
  if (found.isGoing) throw going(place)
  const value = decodeData(found.data)
  if (value !== undefined) return value
  throw new BrokerError('precondition_failed', `kubernetes: ${place.namespace}/${place.name} is there and holds no field`, {
    hint: 'write a value to it',
  })
}

function infoOf(version: string, found: SecretObject): VersionInfo {
  return { version: version as VersionId, state: 'current', createdAt: found.changedAt, etag: etagOf(found) }
}

/** Of every change of the object, also of its labels; the `uid` tells a Secret made anew from the one before. */
function etagOf({ uid, resourceVersion }: SecretObject): Etag {
  return `${uid}/${resourceVersion}` as Etag
}

function versionIn(ports: StorePorts, path: StorePath, found: SecretObject): string | undefined {
  const value = decodeData(found.data)
  return value === undefined ? undefined : versionOf(ports, path, value)
}

/** What an object remembers of an intent, whatever its key looks like. */
function keyOf({ etagKey }: StorePorts, path: StorePath, idempotencyKey: string): string {
  return createHmac('sha256', etagKey).update(`intent\0${path}\0${idempotencyKey}`).digest('hex').slice(0, 32)
}

/** Keyed: a plain hash of a value would let whoever sees it try passwords against it. */
function versionOf({ etagKey }: StorePorts, path: StorePath, value: SecretValue): string {
  return createHmac('sha256', etagKey).update(`${path}\0`).update(value.encode()).digest('hex').slice(0, 16)
}

function going({ namespace, name }: Place): BrokerError {
  return new BrokerError('not_found', `kubernetes: ${namespace}/${name} is deleted, and goes when its finalizers let it`, {
    hint: 'look at metadata.finalizers',
    detail: { reason: 'deleting' },
  })
}

function contended({ namespace, name }: Place): BrokerError {
  return new BrokerError('conflict', `kubernetes: ${namespace}/${name} was changed by others at each of ${triesMax} attempts`, {
    hint: 'look who writes to it, and try again',
  })
}
