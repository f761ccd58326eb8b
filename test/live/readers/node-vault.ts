import { createRequire } from 'node:module'
import openNodeVault from 'node-vault'
import type { Fields, Name, Place, Reader } from './reader.ts'

/** What we call of it. Its own declarations say `any`. */
interface Client {
  read(path: string): Promise<{ readonly data: Fields }>
  write(path: string, body: object): Promise<unknown>
  list(path: string): Promise<{ readonly data: { readonly keys: readonly string[] } }>
  delete(path: string): Promise<unknown>
}

const { version } = createRequire(import.meta.url)('node-vault/package.json') as { version: string }

/** node-vault as it comes: its own transport, nothing of ours around it. */
export const nodeVault: Reader = {
  title: `node-vault ${version}`,
  numbers: 'kept',
  async read(at, name, options) {
    const query = options.version === undefined ? '' : `?version=${options.version}`
    try {
      const { data } = await clientOf(at).read(`${pathOf(name, 'data')}${query}`)
      return name.kv === 1 ? data : (data.data as Fields)
    } catch (error) {
      if (hasStatus(error, 404)) return undefined
      throw error
    }
  },
  async write(at, name, fields, cas) {
    const body = name.kv === 1 ? fields : { data: fields, ...(cas === undefined ? {} : { options: { cas } }) }
    try {
      await clientOf(at).write(pathOf(name, 'data'), body)
      return true
    } catch (error) {
      if (hasStatus(error, 400)) return false
      throw error
    }
  },
  async list(at, folder) {
    return (await clientOf(at).list(pathOf(folder, 'metadata'))).data.keys
  },
  async remove(at, name) {
    await clientOf(at).delete(pathOf(name, 'data'))
  },
}

function clientOf({ url, token, namespace }: Place): Client {
  // the verb LIST, which it sends otherwise, is refused by a server of node:http
  const client: unknown = openNodeVault({
    endpoint: url,
    token,
    noCustomHTTPVerbs: true,
    ...(namespace === undefined ? {} : { namespace }),
  })
  return client as Client
}

function pathOf({ mount, key, kv }: Name, part: string): string {
  return kv === 1 ? `${mount}/${key}` : `${mount}/${part}/${key}`
}

function hasStatus(error: unknown, status: number): boolean {
  // its `ApiResponseError` has no class that could be imported
  return (error as { response?: { statusCode?: number } }).response?.statusCode === status
}
