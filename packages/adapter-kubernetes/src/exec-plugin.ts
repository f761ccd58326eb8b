import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { BrokerError } from '@keyturn/core'
import type { CredentialPorts, Environment } from './credential.ts'
import { isObject } from './status.ts'

/** A plugin as a kubeconfig names it. */
export interface Plugin {
  /** As it stands in the file: what a section allows. */
  readonly named: string
  /** What is run: a relative path is one beside the kubeconfig. */
  readonly command: string
  readonly args: readonly string[]
  readonly env: Environment
  readonly apiVersion: string
}

/** What a plugin answered. */
export interface PluginCredential {
  readonly token: string | undefined
  /** PEM. */
  readonly cert: string | undefined
  readonly key: string | undefined
}

const outputBytesMax = 262_144
/** A token is asked for anew so long before it ends, and not more often than this when it is refused. */
const marginMs = 10_000
const versions = ['client.authentication.k8s.io/v1', 'client.authentication.k8s.io/v1beta1']

/** Reads `exec` of a user; undefined when there is none. */
export function pluginOf(exec: unknown, folder: string): Plugin | undefined {
  if (!isObject(exec)) return undefined
  const { command, args, env, apiVersion } = exec
  if (typeof command !== 'string' || typeof apiVersion !== 'string' || !versions.includes(apiVersion)) {
    throw new BrokerError(
      'invalid_argument',
      'kubernetes: the kubeconfig names a plugin without a command or of a version that is not spoken',
      {
        hint: `write command, and apiVersion: ${versions[0]}`,
      },
    )
  }
  const pairs = Array.isArray(env) ? env.filter(isObject).map(({ name, value }) => [String(name), String(value)]) : []
  return {
    named: command,
    command: /[\\/]/.test(command) ? join(command.startsWith('/') ? '' : folder, command) : command,
    args: Array.isArray(args) ? args.map(String) : [],
    env: Object.fromEntries(pairs),
    apiVersion,
  }
}

/**
 * A credential plugin: a command that prints a token or a certificate. It gets our environment without Keyturn's own variables, no terminal, and is
 * ended with the call. https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
 */
export class ExecPlugin {
  readonly #plugin: Plugin
  readonly #ports: CredentialPorts
  #held: { readonly credential: PluginCredential; readonly endsAt: number; readonly ranAt: number } | undefined

  constructor(plugin: Plugin, ports: CredentialPorts) {
    this.#plugin = plugin
    this.#ports = ports
  }

  /** The credential that it gave last while that is good, else what it gives now. Errors: `unauthenticated`. */
  async credential(signal: AbortSignal, anew: boolean): Promise<PluginCredential> {
    const now = this.#ports.clock.now().getTime()
    const held = this.#held
    if (held !== undefined && now < held.endsAt && (!anew || now - held.ranAt < marginMs)) return held.credential
    const { credential, endsAt } = readAnswer(await this.#run(signal), this.#plugin)
    this.#held = { credential, endsAt: endsAt - marginMs, ranAt: now }
    return credential
  }

  #run(signal: AbortSignal): Promise<string> {
    const { command, args, env, apiVersion } = this.#plugin
    const info = { kind: 'ExecCredential', apiVersion, spec: { interactive: false } }
    const inherited = Object.entries(this.#ports.env).filter(([name]) => !name.startsWith('KEYTURN_'))
    const child = spawn(command, args, {
      env: { ...Object.fromEntries(inherited), ...env, KUBERNETES_EXEC_INFO: JSON.stringify(info) },
      // what it says on stderr may be a credential
      stdio: ['ignore', 'pipe', 'ignore'],
      signal,
      killSignal: 'SIGKILL',
    })
    return new Promise((resolve, reject) => {
      let text = ''
      child.stdout.setEncoding('utf8').on('data', (part: string) => {
        text += part
        if (text.length > outputBytesMax) child.kill('SIGKILL')
      })
      child.on('error', error => {
        reject(
          signal.aborted
            ? signal.reason
            : failed(this.#plugin, 'code' in error ? `it cannot be started (${String(error.code)})` : 'it broke'),
        )
      })
      child.on('close', code => (code === 0 ? resolve(text) : reject(failed(this.#plugin, `it ended with ${code ?? 'a signal'}`))))
    })
  }
}

function readAnswer(text: string, plugin: Plugin): { readonly credential: PluginCredential; readonly endsAt: number } {
  let answer: unknown
  try {
    answer = JSON.parse(text)
  } catch {
    throw failed(plugin, 'it printed no JSON')
  }
  const status = isObject(answer) && answer.kind === 'ExecCredential' && isObject(answer.status) ? answer.status : {}
  const member = (name: string) => (typeof status[name] === 'string' && status[name] !== '' ? status[name] : undefined)
  const credential = { token: member('token'), cert: member('clientCertificateData'), key: member('clientKeyData') }
  if (credential.token === undefined && (credential.cert === undefined || credential.key === undefined)) {
    throw failed(plugin, 'it printed neither a token nor a certificate with its key')
  }
  const endsAt = Date.parse(member('expirationTimestamp') ?? '')
  return { credential, endsAt: Number.isNaN(endsAt) ? Number.POSITIVE_INFINITY : endsAt }
}

function failed({ named }: Plugin, why: string): BrokerError {
  return new BrokerError('unauthenticated', `kubernetes: the credential plugin ${JSON.stringify(named)} gave nothing: ${why}`, {
    hint: 'run it by hand as this user: it says what it needs',
  })
}
