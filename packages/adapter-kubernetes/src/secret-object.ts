import { BrokerError } from '@keyturn/core'
import type { Place } from './names.ts'
import { isObject } from './status.ts'

/** A write that an object remembers: a keyed fingerprint of its intent, and the version that it made. */
export interface Intent {
  readonly key: string
  readonly version: string
}

/** A Secret as the API answered it: what the adapter asks of it, and the whole of it for writing back. */
export interface SecretObject {
  readonly uid: string
  readonly resourceVersion: string
  readonly type: string
  readonly data: unknown
  readonly isImmutable: boolean
  /** It was deleted, and goes when its finalizers let it. */
  readonly isGoing: boolean
  /** `ExternalSecret stripe`: what keeps writing it; undefined when nothing does. */
  readonly controller: string | undefined
  /** When its data were last written, as far as the server tells. */
  readonly changedAt: Date
  /** Newest first. */
  readonly intents: readonly Intent[]
  /** Everything, so that a write changes nothing but what it means to. */
  readonly source: Readonly<Record<string, unknown>>
}

const intentsAnnotation = 'keyturn-intents'
/** Each takes 50 bytes of the 256 KiB that annotations may have. */
const intentsMax = 32
const intentText = /^([0-9a-f]{32})=([0-9a-f]{16})$/

/** Types whose writing would make or unmake a credential of the cluster itself, or break another tool's own record. */
const foreignTypes: ReadonlyMap<string, string> = new Map([
  ['kubernetes.io/service-account-token', 'the cluster fills it with the token of a service account'],
  ['bootstrap.kubernetes.io/token', 'a node joins the cluster with it'],
  ['helm.sh/release.v1', 'helm keeps its own record in it'],
])

/** Reads the answer of the API; `corrupt` for what is not this Secret. */
export function secretObject(body: unknown, place: Place): SecretObject {
  const source = isObject(body) ? body : {}
  const metadata = isObject(source.metadata) ? source.metadata : {}
  const { name, namespace, uid, resourceVersion } = metadata
  const isThis = source.kind === 'Secret' && name === place.name && namespace === place.namespace
  if (!isThis || typeof uid !== 'string' || typeof resourceVersion !== 'string') {
    throw new BrokerError('corrupt', `kubernetes: what was answered is not the Secret ${place.namespace}/${place.name}`, {
      hint: 'check that the address is that of the API server itself',
    })
  }
  return {
    uid,
    resourceVersion,
    type: typeof source.type === 'string' ? source.type : '',
    data: source.data,
    isImmutable: source.immutable === true,
    isGoing: metadata.deletionTimestamp !== undefined && metadata.deletionTimestamp !== null,
    controller: controllerOf(metadata),
    changedAt: changedAt(metadata),
    intents: intentsOf(metadata),
    source,
  }
}

/** A new object. */
export function freshSecret({ namespace, name }: Place, data: Readonly<Record<string, string>>, intent: Intent): object {
  const metadata = { name, namespace, annotations: { [intentsAnnotation]: intentsText([intent]) } }
  return { apiVersion: 'v1', kind: 'Secret', metadata, type: 'Opaque', data }
}

/** The same object with other data. Type, labels, annotations, owners, and what this program has never heard of, stay; the server compares its `resourceVersion`. */
export function rewrittenSecret({ source, intents }: SecretObject, data: Readonly<Record<string, string>>, intent: Intent): object {
  const metadata = source.metadata as Readonly<Record<string, unknown>> // secretObject looked
  const annotations = isObject(metadata.annotations) ? metadata.annotations : {}
  const marked = { ...annotations, [intentsAnnotation]: intentsText([intent, ...intents]) }
  return { ...source, metadata: { ...metadata, annotations: marked }, data }
}

/** Throws `precondition_failed` for an object that is not for us to change. */
export function mustBeOurs(found: SecretObject, { namespace, name }: Place): void {
  const stop = (why: string, hint: string) => new BrokerError('precondition_failed', `kubernetes: ${namespace}/${name} ${why}`, { hint })
  if (found.isGoing) throw stop('is being deleted', 'wait until its finalizers have let it go')
  const reason = foreignTypes.get(found.type)
  if (reason !== undefined) throw stop(`has the type ${found.type}: ${reason}`, 'keep the secret in a Secret of another name')
  if (found.controller === undefined) return
  throw stop(`is kept by ${found.controller}, which would undo a change`, 'change it there, or keep the secret in a Secret of another name')
}

function controllerOf({ ownerReferences: owners }: Readonly<Record<string, unknown>>): string | undefined {
  const owner = (Array.isArray(owners) ? owners : []).filter(isObject).find(each => each.controller === true)
  return owner === undefined ? undefined : `${String(owner.kind)} ${String(owner.name)}`
}

/** Of those who wrote data the last; without managed fields the object's own time. */
function changedAt({ managedFields, creationTimestamp }: Readonly<Record<string, unknown>>): Date {
  const entries = Array.isArray(managedFields) ? managedFields.filter(isObject) : []
  const wrote = entries.filter(({ fieldsV1 }) => isObject(fieldsV1) && 'f:data' in fieldsV1).map(({ time }) => Date.parse(String(time)))
  const times = [...wrote, Date.parse(String(creationTimestamp))].filter(time => !Number.isNaN(time))
  return new Date(times.length === 0 ? 0 : Math.max(...times))
}

function intentsOf({ annotations }: Readonly<Record<string, unknown>>): readonly Intent[] {
  const text = isObject(annotations) ? annotations[intentsAnnotation] : undefined
  if (typeof text !== 'string') return []
  return text.split(' ').flatMap(each => {
    const [, key, version] = intentText.exec(each) ?? []
    return key === undefined || version === undefined ? [] : [{ key, version }]
  })
}

function intentsText(intents: readonly Intent[]): string {
  return intents
    .slice(0, intentsMax)
    .map(({ key, version }) => `${key}=${version}`)
    .join(' ')
}
