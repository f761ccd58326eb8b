import { BrokerError, type OpenContext, type SecretVersion, type StoreAdapter } from '@keyturn/core'
import { AliasedCalls } from './aliased-calls.ts'
import { aliasedMembers } from './aliased-members.ts'
import { classify } from './classify.ts'
import { Client } from './client.ts'
import { credentialOf, type Environment } from './credential.ts'
import { examiner } from './examine.ts'
import { folderOf, type Home, pathOf, placeOf, projectForm, secretName } from './names.ts'
import { type GcpOptions, targetOf } from './options.ts'
import { following, SecretCalls } from './secret-calls.ts'
import { Tokens } from './tokens.ts'
import { encodePayload, refusal, valueBytesMax } from './values.ts'
import { infoOf, numberOf } from './version.ts'
import { type IsCurrent, versionMembers } from './version-calls.ts'

/** The longest wait for one answer, should nobody set a deadline; a `Store` has its own, shorter or longer. */
const answerMs = 60_000

/** Opens a section of kind `gcp`. Nothing is sent before the first call. `env` is where the project and the application default credentials are looked for. */
export async function open(options: GcpOptions, context: OpenContext, { env }: { readonly env: Environment }): Promise<StoreAdapter> {
  const { ca, proxy, maxInFlight, location, pageSize, alias } = options
  const home = { project: options.project ?? projectIn(env), location }
  const target = targetOf(options.endpoint ?? '') ?? { host: hostOf(location), port: 443, plain: false }
  const credential = target.plain ? undefined : credentialOf(options.auth, { env, ca, proxy, now: () => context.clock.now() })
  const tokens = credential === undefined ? undefined : new Tokens(credential, context.clock)
  const client = new Client({ target, ca, proxy, maxInFlight, answerMs, tokens })
  const calls = new SecretCalls(client, () => context.clock.now(), replicationOf(options))
  const named = (path: string) => secretName(placeOf(path, home))
  const own = alias === undefined ? undefined : new AliasedCalls(calls, alias)
  const isCurrent: IsCurrent = async (name, number, signal) =>
    own === undefined ? number >= (await calls.newest(name, signal)) : number === (await own.find(name, signal))?.current
  let closed: Promise<void> | undefined
  return {
    kind: 'gcp',
    guarantees: { cas: alias !== undefined, idempotent: alias !== undefined, valueBytesMax },
    list: lister(calls, { home, pageSize }),
    ...(own === undefined ? newestMembers(calls, home) : aliasedMembers(own, home)),
    ...versionMembers(calls, named, isCurrent),
    refuses: refusal,
    examine: examiner({ calls, tokens, home, which: alias ?? 'latest', login: credential?.title }),
    classify,
    close() {
      closed ??= client.close()
      return closed
    },
  }
}

/** The project of a section that names none. `invalid_argument` for what can be no project: it becomes part of every name. */
function projectIn({ GOOGLE_CLOUD_PROJECT, GCLOUD_PROJECT }: Environment): string | undefined {
  const project = GOOGLE_CLOUD_PROJECT || GCLOUD_PROJECT
  if (!project || projectForm.test(project)) return project || undefined
  throw new BrokerError('invalid_argument', `gcp: ${GOOGLE_CLOUD_PROJECT ? 'GOOGLE_CLOUD_PROJECT' : 'GCLOUD_PROJECT'} names no project`, {
    hint: 'correct the variable, or give the section its project',
  })
}

/** Secrets whose current version is the newest. */
function newestMembers(
  calls: SecretCalls,
  home: Home,
): Pick<StoreAdapter, 'read' | 'write'> & Required<Pick<StoreAdapter, 'versions' | 'delete'>> {
  return {
    async read(path, { version, signal }): Promise<SecretVersion> {
      const name = secretName(placeOf(path, home))
      if (version === undefined) {
        const found = await calls.current(name, signal)
        const createdAt = await calls.birth(name, found, signal)
        return { ...infoOf({ number: found.number, createdAt, gone: undefined }, found.number), value: found.value }
      }
      const number = numberOf(version)
      if (number === 0) throw new BrokerError('not_found', `gcp: ${name} has no version ${version}`)
      const found = await calls.access(name, number, signal)
      const createdAt = await calls.birth(name, found, signal)
      return { ...infoOf({ number, createdAt, gone: undefined }, Math.max(number, await calls.newest(name, signal))), value: found.value }
    },

    async write(path, value, { signal }) {
      const known = await calls.add(placeOf(path, home), encodePayload(value), signal)
      return infoOf(known, known.number)
    },

    async *versions(path, { signal }) {
      signal.throwIfAborted()
      const all = await calls.versions(secretName(placeOf(path, home)), signal)
      for (const each of all) yield infoOf(each, all[0]?.number ?? 0)
    },

    delete: (path, { signal }) => calls.delete(secretName(placeOf(path, home)), signal),
  }
}

/** Page by page, when its turn comes. */
function lister(calls: SecretCalls, { home, pageSize }: { readonly home: Home; readonly pageSize: number }): StoreAdapter['list'] {
  return async function* (prefix, { signal }) {
    signal.throwIfAborted()
    const parent = folderOf(prefix, home)
    const seen = new Set<string>()
    for (let pageToken = ''; ; ) {
      const page = await calls.client.call('listSecrets', { parent, pageSize, pageToken }, signal)
      for (const { name } of page.secrets ?? []) {
        const path = pathOf(name ?? '', prefix)
        if (!path.startsWith(prefix) || seen.has(path)) continue
        seen.add(path)
        yield path
      }
      if (!page.nextPageToken) return
      pageToken = following(pageToken, page.nextPageToken)
    }
  }
}

function hostOf(location: string | undefined): string {
  return location === undefined ? 'secretmanager.googleapis.com' : `secretmanager.${location}.rep.googleapis.com`
}

/** A regional secret has none: it is where it is. */
function replicationOf({ location, replication }: GcpOptions): object | undefined {
  if (location !== undefined) return undefined
  if (replication === undefined) return { automatic: {} }
  return { userManaged: { replicas: replication.locations.map(each => ({ location: each })) } }
}
