import { BrokerError, type Examiner, type Finding, look, type StoreAdapter } from '@keyturn/core'
import { classify, hasStatus } from './classify.ts'
import { membersOf, parsed } from './json-source.ts'
import { type Kv, saysAbsent } from './kv.ts'
import { mountOf } from './mount.ts'
import { type MountOptions, placeInV1, placeInV2 } from './names.ts'
import type { Session } from './session.ts'

interface Subject {
  readonly kv: Kv
  readonly session: Session
  readonly options: MountOptions
  readonly version: 1 | 2
}

/** What to look at behind one path: the path that is read, and for KV v2 those that show existence and fields without a value. */
interface Targets {
  readonly mount: string
  readonly read: string
  readonly subkeys?: string
  readonly metadata?: string
}

/**
 * Logs in, then looks at the kind of the mount, the rights of the token and the names of the fields. It reads the value only where the
 * token may see neither `subkeys` nor `metadata`, and for KV v1, which has neither.
 */
export function examiner(subject: Subject): StoreAdapter['examine'] {
  return async (path, { signal }) => {
    signal.throwIfAborted()
    const login = await look(examiningVault, signal, 'login', async () => {
      await subject.session.lookUp(signal)
      return { ok: true, what: 'login' }
    })
    if (path === null || !login.ok) return [login]
    const targets = targetsOf(path, subject)
    if (targets instanceof BrokerError) {
      return [login, { ok: false, what: `path ${path}`, detail: targets.message, hint: targets.hint ?? 'correct the path' }]
    }
    const mount = await look(examiningVault, signal, `mount ${targets.mount}`, () => mountFinding(subject, targets, signal))
    const rights = await look(examiningVault, signal, `right to read ${targets.read}`, () => rightsFinding(subject.kv, targets, signal))
    const place = rights.ok ? [await look(examiningVault, signal, `path ${path}`, () => fieldsFinding(subject, path, targets, signal))] : []
    return [login, mount, rights, ...place]
  }
}

function targetsOf(path: string, { options, version }: Subject): Targets | BrokerError {
  try {
    if (version === 1) return { mount: placeInV1(path, options).mount, read: path }
    const { mount, key } = placeInV2(path, options)
    return { mount, read: path, subkeys: `${mount}/subkeys/${key}`, metadata: `${mount}/metadata/${key}` }
  } catch (error) {
    if (error instanceof BrokerError) return error
    throw error
  }
}

async function mountFinding({ kv, version }: Subject, { mount, read }: Targets, signal: AbortSignal): Promise<Finding> {
  const what = `mount ${mount}`
  const found = await mountOf(kv, read, signal)
  if (found === undefined) {
    const detail = 'it is not there, or the token may do nothing in it'
    return { ok: false, what, detail, hint: 'check the mount, and the policies of the token', code: 'permission_denied' }
  }
  const { type, path } = found
  if (type !== 'kv' && type !== 'generic')
    return { ok: false, what, detail: `it is of type ${type}, not kv`, hint: 'name a path of a KV mount' }
  if (path !== mount) return { ok: false, what, detail: `the server has it at ${path}`, hint: `say mount: ${path} in the section` }
  if (found.version === String(version)) return { ok: true, what, detail: `KV v${version}` }
  const detail = `it is KV v${found.version}, and the section serves KV v${version}`
  return { ok: false, what, detail, hint: `say kv: ${found.version} in the section` }
}

async function rightsFinding(kv: Kv, { read, subkeys, metadata }: Targets, signal: AbortSignal): Promise<Finding> {
  const what = `right to read ${read}`
  const rights = await capabilities(kv, [read, subkeys, metadata], signal)
  const own = rights?.get(read) ?? []
  if (rights === undefined) return { ok: true, what, detail: 'the token may not ask for its rights' }
  if (own.includes('root')) return { ok: true, what, detail: 'it has root' }
  if (own.includes('read')) {
    const toWrite = `give its policy: path "${read}" { capabilities = ["create", "read", "update"] }`
    return { ok: true, what, detail: `it has ${own.join(', ')}`, ...(own.includes('update') ? {} : { toWrite }) }
  }
  return {
    ok: false,
    what,
    detail: `it has ${own.join(', ') || 'none'}`,
    hint: `give its policy: path "${read}" { capabilities = ["read"] }`,
    code: 'permission_denied',
  }
}

/** Undefined when the token may not ask. */
async function capabilities(
  kv: Kv,
  paths: readonly (string | undefined)[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, readonly string[]> | undefined> {
  const asked = paths.filter(path => path !== undefined)
  try {
    const answer = await kv.write('sys/capabilities-self', JSON.stringify({ paths: asked }), signal)
    const data = membersOf(answer?.member('data') ?? '')
    return new Map(asked.map(path => [path, words(data.get(path))]))
  } catch (error) {
    if (hasStatus(error, 403)) return undefined
    throw error
  }
}

function words(source: string | undefined): readonly string[] {
  const list = parsed(source ?? '[]')
  return Array.isArray(list) ? list.filter(word => typeof word === 'string') : []
}

async function fieldsFinding({ kv }: Subject, path: string, targets: Targets, signal: AbortSignal): Promise<Finding> {
  const what = `path ${path}`
  for (const place of [targets.subkeys, targets.metadata, targets.read]) {
    if (place === undefined) continue
    try {
      const data = membersOf((await kv.read(place, signal, place === targets.subkeys ? 'depth=1' : undefined))?.member('data') ?? '')
      return { ok: true, what, ...fieldNames(place, targets, data) }
    } catch (error) {
      if (hasStatus(error, 403) && place !== targets.read) continue
      if (!hasStatus(error, 404)) throw error
      // an older server has no subkeys; its metadata decide
      if (place === targets.subkeys && !error.response.body.has('data') && !saysAbsent(error)) continue
      const deleted = error.response.body.has('data')
      const detail = deleted ? 'its current version is soft-deleted or destroyed' : 'it is absent'
      return {
        ok: false,
        what,
        detail,
        hint: deleted ? 'restore it, or write a new version' : 'write the secret, or correct the path',
        code: 'not_found',
      }
    }
  }
  throw new BrokerError('internal', 'vault: there was no place to look at')
}

function fieldNames(place: string, targets: Targets, data: ReadonlyMap<string, string>): Pick<Finding, 'detail' | 'fields'> {
  if (place === targets.metadata) return {}
  const source = place === targets.subkeys ? data.get('subkeys') : targets.subkeys === undefined ? undefined : data.get('data')
  const members = targets.subkeys === undefined ? data : membersOf(source ?? '')
  const fields = [...members.keys()]
  return { detail: `fields: ${fields.join(', ')}`, fields }
}

const examiningVault: Examiner = {
  classify,
  hints: {
    unavailable: 'check the address, and whether the server is up, unsealed and active',
    permission_denied: 'check the policies of the token',
    corrupt: 'check that the address is that of the server itself, not of a page before it',
    throttled: 'try again later, or raise the rate limit quota',
    other: 'look into the server’s log',
  },
}
