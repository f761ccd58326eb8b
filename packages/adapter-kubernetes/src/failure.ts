import { BrokerError, type BrokerErrorOptions } from '@keyturn/core'
import { classify } from './classify.ts'
import { isAbsent, type Verb } from './client.ts'
import { StatusError } from './status.ts'

/** What a call was for. */
export interface Doing {
  readonly verb: Verb
  readonly namespace?: string
  readonly name?: string
}

/** The server's no in words that somebody can act on; an error of another kind as it is. No word of the server's own message gets in. */
export function failure(doing: Doing, error: unknown): unknown {
  if (!(error instanceof StatusError)) return error
  const { namespace = '', name } = doing
  const at = name === undefined ? `namespace ${namespace}` : `${namespace}/${name}`
  const { code, retryAfterMs } = classify(error)
  const told = (text: string, hint?: string) => {
    const options: BrokerErrorOptions = {
      cause: error,
      ...(hint === undefined ? {} : { hint }),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    }
    return new BrokerError(code, `kubernetes: ${text}`, options)
  }
  if (isAbsent(error)) return told(`${at} does not exist`)
  if (code === 'permission_denied') return denied(doing, error, told)
  if (error.kind === 'namespaces' && error.status === 404) {
    return told(`there is no namespace ${namespace}`, `make it, or correct the path: kubectl create namespace ${namespace}`)
  }
  if (error.has('NamespaceTerminating')) return told(`namespace ${namespace} is being deleted`, 'make it again when it is gone')
  if (error.tells.has('immutable')) return told(`${at} is immutable`, 'a Secret with immutable: true can only be deleted and made again')
  if (error.status === 410) return told(`the list of ${at} took longer than the cluster keeps its snapshot`, 'list it again')
  if (error.status === 422) {
    const fields = [...new Set(error.causes.map(({ field, reason }) => `${field || 'object'} (${reason || 'Invalid'})`))].join(', ')
    return told(
      `the API server refuses ${at}: ${fields || 'Invalid'}`,
      'its type demands other fields: kubernetes.io/tls takes tls.crt and tls.key',
    )
  }
  return error
}

function denied({ verb, namespace, name }: Doing, error: StatusError, told: (text: string, hint?: string) => BrokerError): BrokerError {
  if (error.tells.has('webhook')) {
    return told(`an admission rule of the cluster refuses to ${verb} ${namespace}/${name}`, 'its owner knows what it wants')
  }
  const isCluster = namespace === undefined
  const what = isCluster ? 'namespaces' : 'secrets'
  return told(
    `this account may not ${verb} ${what}${isCluster ? '' : ` in namespace ${namespace}`}${name === undefined ? '' : ` (${name})`}`,
    `${isCluster ? 'bind a ClusterRole' : 'bind a Role'} to it: resources: [${what}], verbs: [${verb}]`,
  )
}
