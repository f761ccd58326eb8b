import { access } from 'node:fs/promises'
import { isIPv6 } from 'node:net'
import { join } from 'node:path'
import { BrokerError } from '@keyturn/core'
import { bearer, type Credential, type CredentialPorts, type Environment, endpointOf, secretText } from './credential.ts'
import { kubeconfigCredential } from './kubeconfig.ts'
import type { KubernetesAuth, KubernetesOptions } from './options.ts'

const podFolder = '/var/run/secrets/kubernetes.io/serviceaccount'

type Auth<Method extends KubernetesAuth['method']> = Extract<KubernetesAuth, { readonly method: Method }>

/**
 * The way to a login that a section names. Without `auth`: the files of `KUBECONFIG` where it is set, else the service account of the pod
 * where there is one, else `~/.kube/config`.
 */
export async function credentialOf(options: KubernetesOptions, ports: CredentialPorts): Promise<Credential> {
  const auth = options.auth ?? (await found(ports.env))
  if (auth.method === 'kubeconfig') return kubeconfigCredential(auth, options, ports)
  if (auth.method === 'in-cluster') return podCredential(auth, options, ports.env)
  return auth.method === 'token' ? tokenCredential(auth, options) : certificateCredential(auth, options)
}

async function found(env: Environment): Promise<KubernetesAuth> {
  const kubeconfig = { method: 'kubeconfig', exec: [] as string[] } as const
  if ((env.KUBECONFIG ?? '') !== '' || (env.KUBERNETES_SERVICE_HOST ?? '') === '') return kubeconfig
  const isPod = await access(join(podFolder, 'token')).then(
    () => true,
    () => false,
  )
  return isPod ? { method: 'in-cluster' } : kubeconfig
}

function podCredential(
  { folder = podFolder }: Auth<'in-cluster'>,
  { address, ca, proxy }: KubernetesOptions,
  env: Environment,
): Credential {
  return {
    title: 'the service account of the pod',
    async login(signal) {
      const token = await secretText(join(folder, 'token'), 'the service account token', signal)
      const authorities = ca ?? (await secretText(join(folder, 'ca.crt'), 'the authority of the cluster', signal))
      return { endpoint: endpointOf({ address: address ?? podAddress(env), ca: authorities, proxy }), headers: bearer(token) }
    },
  }
}

function podAddress({ KUBERNETES_SERVICE_HOST: host = '', KUBERNETES_SERVICE_PORT: port = '443' }: Environment): string {
  if (host !== '') return `https://${isIPv6(host) ? `[${host}]` : host}:${port}`
  throw new BrokerError('unauthenticated', 'kubernetes: this is no pod: KUBERNETES_SERVICE_HOST is not set', {
    hint: 'give the section address, or another auth',
  })
}

function tokenCredential({ token, tokenFile }: Auth<'token'>, { address = '', ca, proxy }: KubernetesOptions): Credential {
  return {
    title: tokenFile === undefined ? 'the token' : `the token of ${tokenFile}`,
    async login(signal) {
      const text = tokenFile === undefined ? (token ?? '') : await secretText(tokenFile, 'the token', signal)
      return { endpoint: endpointOf({ address, ca, proxy }), headers: bearer(text) }
    },
  }
}

function certificateCredential({ certFile, keyFile }: Auth<'certificate'>, { address = '', ca, proxy }: KubernetesOptions): Credential {
  return {
    title: `the certificate of ${certFile}`,
    async login(signal) {
      const cert = await secretText(certFile, 'the certificate', signal)
      const key = await secretText(keyFile, 'the key', signal)
      return { endpoint: endpointOf({ address, ca, proxy, cert, key }), headers: {} }
    },
  }
}
