import { BrokerError } from '@keyturn/core'
import type { WrapContext, WrappedBytes } from '@keyturn/envelope'

/** Kinds of keys that bind what they close to its context. */
const aeadTypes: ReadonlySet<unknown> = new Set(['aes128-gcm96', 'aes256-gcm96', 'chacha20-poly1305', 'xchacha20-poly1305'])

/** A key of a transit engine, as it stands on the server. */
export interface TransitKey {
  readonly type: string
  readonly latest: number
  readonly isDerived: boolean
  readonly isExportable: boolean
}

/** What the wrapper and its examination ask the server. */
export interface Transit {
  readonly mount: string
  readonly key: string
  /** `not_found` when there is none: encrypting would make one where the login may. */
  describe(signal: AbortSignal): Promise<TransitKey>
  ask(what: string, action: 'encrypt' | 'decrypt', place: Place, body: object, signal: AbortSignal): Promise<unknown>
}

/** A mount and a key in it. */
export interface Place {
  readonly mount: string
  readonly key: string
}

/** Refuses a key that does not bind what it closes. */
export function usable({ mount, key }: Place, found: TransitKey): TransitKey {
  if (aeadTypes.has(found.type) && !found.isDerived) return found
  const why = found.isDerived ? 'is derived' : `is of type ${found.type}`
  throw new BrokerError('invalid_argument', `vault-transit: key ${mount}/${key} ${why}, and cannot bind a KEK to its place`, {
    hint: 'make a key of type aes256-gcm96 or chacha20-poly1305, not derived, and name it in broker.keys',
  })
}

/** JSON, so that no two contexts have one form. */
export function bound({ ledgerId, kekId }: WrapContext): string {
  return Buffer.from(JSON.stringify(['keyturn/kek/1', ledgerId, kekId])).toString('base64')
}

/** The name under which a version of a key is kept. */
export function versionName({ mount, key }: Place, version: number): string {
  return `${mount}/${key}:v${version}`
}

/** The version that closed it. */
export function versionOf(ciphertext: string): number {
  const version = /^vault:v([1-9]\d{0,8}):[A-Za-z0-9+/]+=*$/.exec(ciphertext)?.[1]
  if (version === undefined) throw foreign()
  return Number(version)
}

/** The key that closed it, by the name that was kept: the config may name another one by now. */
export function placeOf(
  { key: name, bytes }: WrappedBytes,
  { kekId }: WrapContext,
): { readonly place: Place; readonly ciphertext: string } {
  const ciphertext = Buffer.from(bytes).toString('latin1')
  const { mount, key, version } = /^(?<mount>[^:]+)\/(?<key>[^/:]+):(?<version>v\d+)$/.exec(name)?.groups ?? {}
  if (mount !== undefined && key !== undefined && ciphertext.startsWith(`vault:${version}:`)) return { place: { mount, key }, ciphertext }
  throw new BrokerError('corrupt', `vault-transit: the wrapped KEK ${kekId} is not of the key version that it names`, {
    hint: 'restore the wrapped KEK from a backup of the ledger',
  })
}

/** The answer of something else. */
export function foreign(): BrokerError {
  return new BrokerError('unavailable', 'vault-transit: the answer is none of a transit engine', {
    hint: 'look whether the mount is one of type transit, and what stands between',
  })
}
