import { readFile } from 'node:fs/promises'
import { delimiter, dirname, isAbsolute, join, resolve } from 'node:path'
import { BrokerError } from '@keyturn/core'
import type { Cluster, KubeConfig, User } from '@kubernetes/client-node'
import { bearer, type Credential, type CredentialPorts, type Environment, endpointOf, type Login, secretText } from './credential.ts'
import { ExecPlugin, pluginOf } from './exec-plugin.ts'
import { addressRefusal, type KubernetesAuth, type KubernetesOptions } from './options.ts'
import { isObject } from './status.ts'

type KubeconfigAuth = Extract<KubernetesAuth, { readonly method: 'kubeconfig' }>

/** A kubeconfig as it was read: by the package, and the members of its users that the package leaves out. */
interface Read {
  readonly config: KubeConfig
  readonly users: ReadonlyMap<string, Readonly<Record<string, unknown>>>
  /** Where the files of each user's entry are relative to. */
  readonly folders: ReadonlyMap<string, string>
}

interface Subject {
  readonly auth: KubeconfigAuth
  readonly options: KubernetesOptions
  readonly ports: CredentialPorts
}

/**
 * A context of a kubeconfig, read and merged by `@kubernetes/client-node`. It is read again while it is used, so that a file that a login tool
 * writes is followed. Refused: servers whose certificate is not checked, passwords, `auth-provider`, plugins that the section does not name.
 * https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
 */
export function kubeconfigCredential(auth: KubeconfigAuth, options: KubernetesOptions, ports: CredentialPorts): Credential {
  const subject = { auth, options, ports }
  let last: { readonly texts: string; readonly read: Read } | undefined
  let plugin: ExecPlugin | undefined
  return {
    title: `the kubeconfig ${auth.file ?? ''}${auth.context === undefined ? '' : ` (context ${auth.context})`}`.trim(),
    async login(signal, anew) {
      const sources = await sourcesOf(auth.file, ports.env, signal)
      const texts = JSON.stringify(sources)
      if (last?.texts !== texts) {
        last = { texts, read: await parsed(sources) }
        plugin = undefined
      }
      const chosen = chosenIn(last.read, subject)
      plugin ??= pluginFor(chosen, subject)
      return loginOf(chosen, { subject, plugin, signal, anew })
    },
  }
}

interface Source {
  readonly file: string
  readonly text: string
}

/** The files that are there, in the order in which they count. */
async function sourcesOf(file: string | undefined, env: Environment, signal: AbortSignal): Promise<readonly Source[]> {
  const listed = (env.KUBECONFIG ?? '').split(delimiter).filter(each => each !== '')
  const home = env.HOME ?? env.USERPROFILE
  const files = file !== undefined ? [file] : listed.length > 0 ? listed : home === undefined ? [] : [join(home, '.kube', 'config')]
  const sources: Source[] = []
  for (const each of files) {
    const text = await readFile(each, { encoding: 'utf8', signal }).catch((error: unknown) => {
      signal.throwIfAborted()
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
      throw new BrokerError('unauthenticated', `kubernetes: the kubeconfig ${each} cannot be read`, {
        hint: 'let this process read the file',
      })
    })
    if (text !== undefined) sources.push({ file: resolve(each), text })
  }
  if (sources.length > 0) return sources
  throw new BrokerError('unauthenticated', `kubernetes: there is no kubeconfig${files.length === 0 ? '' : ` at ${files.join(', ')}`}`, {
    hint: 'give the section auth: in-cluster in a pod, a kubeconfig’s file, or token with address',
  })
}

/** Merged as kubectl does: of two entries with one name the first counts. */
async function parsed(sources: readonly Source[]): Promise<Read> {
  const kit = await import('@kubernetes/client-node')
  const config = new kit.KubeConfig()
  const users = new Map<string, Readonly<Record<string, unknown>>>()
  const folders = new Map<string, string>()
  for (const { file, text } of sources) {
    const next = new kit.KubeConfig()
    try {
      for (const [name, user] of rawUsers(kit.loadYaml(text))) if (!users.has(name)) users.set(name, user)
      next.loadFromString(text)
      next.makePathsAbsolute(dirname(file))
    } catch {
      // the parser's complaint quotes the file, which holds credentials
      throw new BrokerError('invalid_argument', `kubernetes: ${file} is no kubeconfig`, {
        hint: 'kubectl config view says where it breaks',
      })
    }
    for (const { name } of next.users) if (!folders.has(name)) folders.set(name, dirname(file))
    for (const each of next.clusters) if (config.getCluster(each.name) === null) config.addCluster(each)
    for (const each of next.users) if (config.getUser(each.name) === null) config.addUser(each)
    for (const each of next.contexts) if (config.getContextObject(each.name) === null) config.addContext(each)
    if ((config.currentContext ?? '') === '') config.currentContext = next.currentContext
  }
  return { config, users, folders }
}

function rawUsers(file: unknown): readonly (readonly [string, Readonly<Record<string, unknown>>])[] {
  const list = isObject(file) && Array.isArray(file.users) ? file.users.filter(isObject) : []
  return list.flatMap(({ name, user }) => (typeof name === 'string' ? [[name, isObject(user) ? user : {}] as const] : []))
}

interface Chosen {
  readonly cluster: Cluster
  readonly user: User | null
  readonly raw: Readonly<Record<string, unknown>>
  readonly folder: string
}

function chosenIn({ config, users, folders }: Read, { auth }: Subject): Chosen {
  const context = auth.context ?? config.currentContext ?? ''
  const entry = config.getContextObject(context)
  const cluster = entry === null ? null : config.getCluster(entry.cluster)
  if (entry === null || cluster === null) {
    const there = config.contexts.map(({ name }) => name).join(', ')
    throw refused(`it has no context ${JSON.stringify(context)} with a cluster`, `choose one by auth.context; it has ${there || 'none'}`)
  }
  if (cluster.skipTLSVerify)
    throw refused('it does not check the server’s certificate', 'replace insecure-skip-tls-verify by certificate-authority')
  const broken = addressRefusal(cluster.server)
  if (broken !== undefined) throw refused(broken, 'correct server in its cluster')
  if (cluster.proxyUrl && !/^https?:/.test(cluster.proxyUrl)) throw refused('its proxy-url is not one of http', 'give the section proxy')
  const user = config.getUser(entry.user)
  if (user === null && (entry.user ?? '') !== '')
    throw refused(`it has no user ${JSON.stringify(entry.user)}`, 'correct user in its context')
  const raw = users.get(entry.user) ?? {}
  const unread = ['as-groups', 'as-uid', 'as-user-extra', 'auth-provider', 'username', 'password'].filter(name => raw[name] !== undefined)
  if (unread.length > 0)
    throw refused(`its user has ${unread.join(', ')}, which is not supported`, 'use a token, a certificate or an exec plugin')
  if (user?.impersonateUser && !/^[\x21-\x7e]+$/.test(user.impersonateUser))
    throw refused('as names nobody that a header can name', 'correct as in its user')
  return { cluster, user, raw, folder: folders.get(entry.user) ?? '' }
}

function pluginFor({ user, folder }: Chosen, { auth, ports }: Subject): ExecPlugin | undefined {
  const plugin = pluginOf(user?.exec, folder)
  if (plugin === undefined) return undefined
  if (auth.exec.includes(plugin.named)) return new ExecPlugin(plugin, ports)
  throw refused(`its user runs the command ${JSON.stringify(plugin.named)}`, `allow it in the section: auth.exec: [${plugin.named}]`)
}

interface Doing {
  readonly subject: Subject
  readonly plugin: ExecPlugin | undefined
  readonly signal: AbortSignal
  readonly anew: boolean
}

async function loginOf({ cluster, user, raw, folder }: Chosen, { subject: { options }, plugin, signal, anew }: Doing): Promise<Login> {
  const tokenFile = typeof raw.tokenFile === 'string' ? raw.tokenFile : undefined
  const pem = async (file: string | undefined, data: string | undefined, what: string) =>
    file ? secretText(file, what, signal) : data ? Buffer.from(data, 'base64').toString() : undefined
  const ran = await plugin?.credential(signal, anew)
  const token =
    tokenFile === undefined
      ? (user?.token ?? ran?.token)
      : await secretText(isAbsolute(tokenFile) ? tokenFile : join(folder, tokenFile), 'the token', signal)
  return {
    endpoint: endpointOf({
      address: cluster.server,
      ca: options.ca ?? (await pem(cluster.caFile, cluster.caData, 'the authority of the cluster')),
      serverName: cluster.tlsServerName,
      proxy: options.proxy ?? cluster.proxyUrl,
      cert: ran?.cert ?? (await pem(user?.certFile, user?.certData, 'the client certificate')),
      key: ran?.key ?? (await pem(user?.keyFile, user?.keyData, 'the client key')),
    }),
    headers: {
      ...(token === undefined ? {} : bearer(token)),
      ...(user?.impersonateUser ? { 'impersonate-user': user.impersonateUser } : {}),
    },
  }
}

function refused(why: string, hint: string): BrokerError {
  return new BrokerError('invalid_argument', `kubernetes: the kubeconfig is refused: ${why}`, { hint })
}
