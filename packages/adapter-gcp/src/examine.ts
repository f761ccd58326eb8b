import { BrokerError, type Examiner, type Finding, look, type StoreAdapter } from '@keyturn/core'
import { classify, hasStatus, status } from './classify.ts'
import { type Home, placeOf, secretName } from './names.ts'
import type { SecretCalls } from './secret-calls.ts'
import type { Tokens } from './tokens.ts'

interface Subject {
  readonly calls: SecretCalls
  readonly home: Home
  /** What the current version is called. */
  readonly which: string
  /** Undefined where nobody logs in. */
  readonly tokens: Tokens | undefined
  readonly login: string | undefined
}

const toRead = 'secretmanager.versions.access'
const toWrite = 'secretmanager.versions.add'
const toTell = 'secretmanager.versions.get'

/**
 * Logs in, asks the service for the rights, then looks at the newest version of a path. It reads the value only where the account may read no
 * metadata. The fields of a JSON value are part of the value, so it does not look at them.
 */
export function examiner(subject: Subject): StoreAdapter['examine'] {
  return async (path, { signal }) => {
    signal.throwIfAborted()
    const name = path === null ? undefined : nameOf(path, subject.home)
    if (name instanceof BrokerError) {
      return [{ ok: false, what: `path ${path}`, detail: name.message, hint: name.hint ?? 'correct the path', code: name.code }]
    }
    const login = await look(examiningGcp, signal, 'login', () => loginFinding(subject, name, signal))
    if (name === undefined || !login.ok) return [login]
    const place = await look(examiningGcp, signal, `path ${path}`, () => placeFinding(subject, name, signal))
    // an absent secret has no rights to ask for: the answer is empty then
    if (!place.ok) return [login, place]
    return [login, place, await look(examiningGcp, signal, `rights to ${path}`, () => rightsFinding(subject.calls, name, signal))]
  }
}

/** A denial shows that the login was taken. */
async function loginFinding(
  { calls, tokens, home, login }: Subject,
  name: string | undefined,
  signal: AbortSignal,
): Promise<Omit<Finding, 'what'>> {
  const as = login === undefined ? 'no login: the endpoint is on the loopback' : `by ${login}`
  await tokens?.current(signal)
  const parent = name?.replace(/\/secrets\/[^/]*$/, '') ?? secretName(placeOf('any', home)).replace(/\/secrets\/any$/, '')
  try {
    await calls.client.call('listSecrets', { parent, pageSize: 1, pageToken: '' }, signal)
  } catch (error) {
    if (!hasStatus(error, status.permissionDenied)) throw error
    return { ok: true, detail: `${as}; it may not list` }
  }
  return { ok: true, detail: as }
}

async function placeFinding({ calls, which }: Subject, name: string, signal: AbortSignal): Promise<Omit<Finding, 'what'>> {
  try {
    const { number, gone } = await calls.version(name, which, signal)
    if (gone === undefined) return { ok: true, detail: `version ${number}` }
    return {
      ok: false,
      detail: `its current version, ${number}, is ${gone}`,
      hint: 'write a new version',
      code: gone === 'disabled' ? 'precondition_failed' : 'not_found',
    }
  } catch (error) {
    if (hasStatus(error, status.notFound)) {
      return {
        ok: false,
        detail: `it is absent, or has no version${which === 'latest' ? '' : ` called ${which}`}`,
        hint: 'write the secret, or correct the path',
        code: 'not_found',
      }
    }
    if (!hasStatus(error, status.permissionDenied)) throw error
    const { number } = await calls.access(name, which, signal)
    return { ok: true, detail: `version ${number}; without ${toTell} the time of a version is that of the answer` }
  }
}

async function rightsFinding(calls: SecretCalls, name: string, signal: AbortSignal): Promise<Omit<Finding, 'what'>> {
  try {
    const { permissions } = await calls.client.call(
      'testIamPermissions',
      { resource: name, permissions: [toRead, toTell, toWrite] },
      signal,
    )
    const has = permissions ?? []
    const addable = has.includes(toWrite) ? {} : { toWrite: 'give it roles/secretmanager.secretVersionManager too' }
    if (has.includes(toRead)) return { ok: true, detail: `it has ${has.join(', ')}`, ...addable }
    return {
      ok: false,
      detail: `it has ${has.join(', ') || 'none'}`,
      hint: 'give it roles/secretmanager.secretAccessor',
      code: 'permission_denied',
    }
  } catch (error) {
    if (!hasStatus(error, status.unimplemented)) throw error
    return { ok: true, detail: 'this server tells no rights' }
  }
}

function nameOf(path: string, home: Home): string | BrokerError {
  try {
    return secretName(placeOf(path, home))
  } catch (error) {
    if (error instanceof BrokerError) return error
    throw error
  }
}

const examiningGcp: Examiner = {
  classify,
  hints: {
    unauthenticated: 'check auth, and that the account still exists',
    unavailable: 'check endpoint, proxy and ca, and whether the service can be reached from here',
    permission_denied: 'give the account roles/secretmanager.secretAccessor on the secret, and roles/secretmanager.viewer to list',
    corrupt: 'check that nothing between answers in the place of Google',
    throttled: 'try again later, or raise the quota of the project',
    other: 'look at the project in the Google Cloud console',
  },
}
