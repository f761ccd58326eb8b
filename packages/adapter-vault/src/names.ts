import { BrokerError, type StorePath } from '@keyturn/core'

/** What a section says about its mount. Left out: by the shape of the path. */
export interface MountOptions {
  readonly mount?: string | undefined
  readonly kv?: 1 | 2 | undefined
}

/** A secret's place in the server: the mount without slashes around it, and the key below it. */
export interface Place {
  readonly mount: string
  readonly key: string
}

const pathBytesMax = 1_024
// control, format and surrogate characters, and what a URL or a policy reads as syntax
const forbidden = /[\p{Cc}\p{Cf}\p{Cs}\\%?#]/u

/** The kind of mount behind a path: as the section says, else KV v2 where `data` follows the mount, else KV v1. */
export function kvOf(path: string, { mount, kv }: MountOptions): 1 | 2 {
  if (kv !== undefined) return kv
  const after = mount === undefined ? path.split('/').slice(1).join('/') : path.slice(mount.length + 1)
  return after === 'data' || after.startsWith('data/') ? 2 : 1
}

/** Reads an API path of a KV v2 mount, `secret/data/payments/stripe`. Anything else is `invalid_argument` with the right form. */
export function placeInV2(path: string, options: MountOptions): Place {
  const broken = brokenRule(path)
  if (broken !== undefined) throw refused(path, broken)
  const mount = options.mount ?? firstSegment(path)
  const prefix = `${mount}/data/`
  if (!path.startsWith(prefix) || path === prefix) {
    throw refused(path, `a KV v2 path of this section is ${prefix}NAME`, 'write the API path, or give a section with KV v1 paths kv: 1')
  }
  return { mount, key: path.slice(prefix.length) }
}

/** Reads a path of a KV v1 mount, `kv/payments/stripe`. */
export function placeInV1(path: string, options: MountOptions): Place {
  const broken = brokenRule(path)
  if (broken !== undefined) throw refused(path, broken)
  const mount = options.mount ?? firstSegment(path)
  if (!path.startsWith(`${mount}/`)) throw refused(path, `a path of this section is ${mount}/NAME`)
  return { mount, key: path.slice(mount.length + 1) }
}

/** The other way round: what `list` yields. */
export function pathInV2({ mount, key }: Place): StorePath {
  return `${mount}/data/${key}` as StorePath
}

/** As `pathInV2`, for KV v1. */
export function pathInV1({ mount, key }: Place): StorePath {
  return `${mount}/${key}` as StorePath
}

/** A prefix as a folder to list (empty or ending in a slash) and how the names in it must start. */
export function folderOf(prefix: string, options: MountOptions, kv: 1 | 2): { mount: string; folder: string; start: string } {
  const mount = options.mount ?? firstSegment(prefix)
  const root = kv === 2 ? `${mount}/data/` : `${mount}/`
  const whole = prefix === '' || root.startsWith(prefix) ? root : prefix
  if (mount === '' || !whole.startsWith(root)) throw refused(prefix, `a prefix of this section starts with ${root || 'MOUNT/'}`)
  const below = whole.slice(root.length)
  const cut = below.lastIndexOf('/') + 1
  const folder = below.slice(0, cut)
  const broken = folder === '' ? undefined : brokenRule(folder.slice(0, -1))
  if (broken !== undefined) throw refused(prefix, broken)
  return { mount, folder, start: below.slice(cut) }
}

/** The broker's default name of a path: KV v2 without mount and `data/`, KV v1 as it is. */
export function nameOf(path: string, options: MountOptions = {}): string {
  if (kvOf(path, options) === 1) return path
  if (path === `${options.mount ?? firstSegment(path)}/data`) {
    throw refused(path, 'it is a whole mount, which gives no name', 'write name: beside it; empty, the names are those in the mount')
  }
  return placeInV2(path, options).key
}

/** A path as it goes over the wire, each segment percent-encoded once. */
export function wirePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/')
}

function brokenRule(path: string): string | undefined {
  if (path === '') return 'it is empty'
  if (forbidden.test(path)) return 'it holds a control character or one of \\ % ? #'
  if (Buffer.byteLength(path) > pathBytesMax) return `it is longer than ${pathBytesMax} bytes`
  for (const segment of path.split('/')) {
    if (segment === '') return 'it has an empty segment'
    if (segment === '.' || segment === '..') return 'it has a segment that is . or ..'
    if (segment.trim() !== segment) return 'a segment begins or ends with white space'
  }
  return undefined
}

function firstSegment(path: string): string {
  return path.split('/', 1)[0] ?? ''
}

function refused(path: string, why: string, hint = 'write it as the API has it, as in secret/data/payments/stripe'): BrokerError {
  return new BrokerError('invalid_argument', `not a path of vault: ${JSON.stringify(path.slice(0, 200))}: ${why}`, { hint })
}
