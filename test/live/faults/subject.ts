import { testContext } from '@keyturn/conformance'
import { type OpenContext, SecretValue, type StoreAdapter, type StorePath, textOf } from '@keyturn/core'

/** PEM texts. */
export interface Certificate {
  readonly cert: string
  readonly key: string
}

/** A backend, and the adapter that is opened to it through a port of our choice. */
export interface Upstream {
  /** Name and version, for the table. */
  readonly server: string
  readonly port: number
  /** Where the backend speaks TLS: its own certificate, unless its key is not ours to have, and one that the adapter must not trust. */
  readonly tls?: { readonly own?: Certificate; readonly impostor: Certificate }
  /** Opens the adapter; `port` stands in front of the backend. */
  open(port: number): Promise<StoreAdapter>
  /** A path of its own for each `name`, and what lists them all. */
  path(name: string): StorePath
  readonly prefix: string
  value(text: string): SecretValue
  textOf(value: SecretValue): string
  stop(): Promise<void>
}

/** One adapter that the faults are tried on. */
export interface Subject {
  /** The adapter's kind. */
  readonly kind: string
  readonly speaks: 'http' | 'grpc'
  /** Whether a write is one request: then a fault on the way back comes after the act. Others look first. */
  readonly writesAtOnce: boolean
  start(): Promise<Upstream | { readonly absent: string }>
}

export const context: OpenContext = testContext('faults')

type Contents = Pick<Upstream, 'path' | 'prefix' | 'value' | 'textOf'>

/** For a store that keeps texts. */
export function ofText(prefix: string): Contents {
  return {
    prefix,
    path: name => `${prefix}${name}` as StorePath,
    value: text => SecretValue.text(text),
    textOf(value) {
      const content = value.reveal()
      return 'field' in content ? (textOf(content.field) ?? '') : ''
    },
  }
}

/** For a store that keeps sets of fields. */
export function ofFields(prefix: string): Contents {
  return {
    prefix,
    path: name => `${prefix}${name}` as StorePath,
    value: text => SecretValue.fields(new Map([['key', text]])),
    textOf(value) {
      const content = value.reveal()
      const key = 'fields' in content ? content.fields.get('key') : undefined
      return key === undefined ? '' : (textOf(key) ?? '')
    },
  }
}
