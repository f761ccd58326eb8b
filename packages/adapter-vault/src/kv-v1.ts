import { createHmac, type KeyObject } from 'node:crypto'
import { BrokerError, type Etag, type SecretValue, type StoreAdapter, type VersionId, type VersionInfo } from '@keyturn/core'
import { hasStatus } from './classify.ts'
import { type Kv, misplaced, saysAbsent } from './kv.ts'
import { MountKinds } from './mount.ts'
import { folderOf, type MountOptions, pathInV1, placeInV1 } from './names.ts'
import { decodeFields, encodeFields } from './values.ts'

type V1 = Required<Pick<StoreAdapter, 'read' | 'write' | 'list' | 'delete'>>

/**
 * KV v1: one value, overwritten in place; no versions, no times, nothing to compare with. A version's id is a keyed fingerprint of path
 * and value, and `createdAt` the time at which it was seen. https://openbao.org/api-docs/secret/kv/kv-v1/
 */
export function openV1(kv: Kv, options: MountOptions, ports: { readonly now: () => Date; readonly etagKey: KeyObject }): V1 {
  const kinds = new MountKinds(kv, 1)
  const info = (path: string, value: SecretValue): VersionInfo => {
    const fingerprint = createHmac('sha256', ports.etagKey).update(`${path}\0`).update(value.encode()).digest('hex')
    return { version: fingerprint.slice(0, 16) as VersionId, state: 'current', createdAt: ports.now(), etag: fingerprint as Etag }
  }

  const fields = async (path: string, signal: AbortSignal): Promise<SecretValue> => {
    try {
      const answer = await kv.read(path, signal)
      return decodeFields(answer?.member('data') ?? '')
    } catch (error) {
      if (!hasStatus(error, 404)) throw error
      throw saysAbsent(error) ? new BrokerError('not_found', `vault: ${path} does not exist`) : misplaced(path, error)
    }
  }

  return {
    async read(path, { version, signal }) {
      placeInV1(path, options)
      const value = await fields(path, signal)
      const current = info(path, value)
      if (version !== undefined && version !== current.version) {
        throw new BrokerError('not_found', `vault: ${path} is not at version ${version}, and KV v1 keeps no other`)
      }
      return { ...current, value }
    },

    async write(path, value, { signal }) {
      await kinds.assure(placeInV1(path, options).mount, path, signal)
      try {
        await kv.write(path, encodeFields(value), signal)
      } catch (error) {
        throw hasStatus(error, 404) ? misplaced(path, error) : error
      }
      return info(path, value)
    },

    async *list(prefix, { signal }) {
      signal.throwIfAborted()
      const { mount, folder, start } = folderOf(prefix, options, 1)
      for await (const key of kv.keys(`${mount}/`, folder, start, signal)) yield pathInV1({ mount, key })
    },

    async delete(path, { signal }) {
      placeInV1(path, options)
      // the server answers a deletion of nothing as it answers one of something
      await fields(path, signal)
      await kv.delete(path, signal)
    },
  }
}
