import { BrokerError } from '@keyturn/core'
import { hasStatus } from './classify.ts'
import { membersOf, parsed } from './json-source.ts'
import type { Kv } from './kv.ts'

/** A mount as the server has it. */
export interface Mount {
  /** Without slashes around it. */
  readonly path: string
  readonly type: string
  /** Of a KV mount; `1` for what says nothing. */
  readonly version: string
}

/** The mount that answers for a path; undefined when there is none, or the token may nothing in it. https://openbao.org/api-docs/system/internal-ui-mounts/ */
export async function mountOf(kv: Kv, path: string, signal: AbortSignal): Promise<Mount | undefined> {
  try {
    const data = membersOf((await kv.read(`sys/internal/ui/mounts/${path}`, signal))?.member('data') ?? '')
    const options = data.get('options') ?? 'null'
    const version = options === 'null' ? '1' : String(parsed(membersOf(options).get('version') ?? '"1"'))
    const at = String(parsed(data.get('path') ?? '""')).replace(/\/$/, '')
    return { path: at, type: String(parsed(data.get('type') ?? '""')), version }
  } catch (error) {
    if (hasStatus(error, 403)) return undefined
    throw error
  }
}

/**
 * Looks at the kind of a mount before the first write into it: KV v1 takes what is meant for KV v2 as one more secret, without a
 * complaint. Where the token may not ask, the write decides.
 */
export class MountKinds {
  readonly #kv: Kv
  readonly #version: 1 | 2
  readonly #seen = new Set<string>()

  constructor(kv: Kv, version: 1 | 2) {
    this.#kv = kv
    this.#version = version
  }

  async assure(mount: string, path: string, signal: AbortSignal): Promise<void> {
    if (this.#seen.has(mount)) return
    const found = await mountOf(this.#kv, path, signal)
    const wrong = found !== undefined && (found.path !== mount || found.version !== String(this.#version))
    if (!wrong) {
      this.#seen.add(mount)
      return
    }
    throw new BrokerError(
      'invalid_argument',
      `vault: ${path} lies in ${found.path}, of kind ${found.type} v${found.version}, and is taken for KV v${this.#version} at ${mount}`,
      {
        hint: 'say mount and kv in the section as the server has them',
      },
    )
  }
}
