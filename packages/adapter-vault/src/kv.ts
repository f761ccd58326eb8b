import { BrokerError } from '@keyturn/core'
import type { Answer } from './answer.ts'
import { type ApiError, hasStatus } from './classify.ts'
import type { Client } from './client.ts'
import { membersOf, parsed } from './json-source.ts'
import type { Session } from './session.ts'

/** So that a page of long names stays below what one answer may hold. */
const pageMax = 1_000
/** Longer is no path that could be read. */
const folderBytesMax = 1_024

/** The calls of both kinds of KV, each with the session's token. */
export class Kv {
  readonly #client: Client
  readonly #session: Session

  constructor(client: Client, session: Session) {
    this.#client = client
    this.#session = session
  }

  read(path: string, signal: AbortSignal, query?: string): Promise<Answer | undefined> {
    return this.#session.run(signal, token => this.#client.read(path, { token, signal }, query))
  }

  write(path: string, json: string, signal: AbortSignal): Promise<Answer | undefined> {
    return this.#session.run(signal, token => this.#client.write(path, json, { token, signal }))
  }

  delete(path: string, signal: AbortSignal): Promise<Answer | undefined> {
    return this.#session.run(signal, token => this.#client.delete(path, { token, signal }))
  }

  /**
   * Every key below a folder (empty, or ending in a slash) whose name there starts so, deep first, each once. A folder is asked for
   * when its turn comes. A folder that is not there has no keys; any other failure is thrown.
   */
  async *keys(root: string, folder: string, start: string, signal: AbortSignal): AsyncIterable<string> {
    if (Buffer.byteLength(folder) > folderBytesMax) throw new BrokerError('corrupt', 'vault: the folders of a list do not end')
    for (const name of await this.#names(`${root}${folder}`, signal)) {
      if (!name.startsWith(start)) continue
      if (name.endsWith('/')) yield* this.keys(root, folder + name, '', signal)
      else yield folder + name
    }
  }

  /** The names in a folder, page by page where the server has pages; one without them answers with all at once, whatever it is asked. */
  async #names(folder: string, signal: AbortSignal): Promise<readonly string[]> {
    const names = new Set<string>()
    for (let after: string | undefined; ; after = [...names].at(-1)) {
      const page = await this.#page(folder, after, signal)
      const before = names.size
      for (const name of page) names.add(name)
      if (page.length !== pageMax || names.size === before) return [...names]
    }
  }

  async #page(folder: string, after: string | undefined, signal: AbortSignal): Promise<readonly string[]> {
    const path = folder.replace(/\/$/, '')
    try {
      const answer = await this.#session.run(signal, token => this.#client.list(path, { token, signal }, { after, limit: pageMax }))
      const keys = parsed(membersOf(answer?.member('data') ?? '').get('keys') ?? 'null')
      if (Array.isArray(keys) && keys.every(isName)) return keys
    } catch (error) {
      if (!hasStatus(error, 404)) throw error
      if (saysAbsent(error)) return []
      throw misplaced(folder, error)
    }
    throw new BrokerError('corrupt', 'vault: a list is no list of names of one folder')
  }
}

/** One name in a folder, with a slash behind it when it is a folder. */
function isName(name: unknown): name is string {
  return typeof name === 'string' && /^[^/]+\/?$/.test(name)
}

/** Whether a 404 is the server's plain "not there": no error, no warning, no data. */
export function saysAbsent({ response: { body } }: ApiError): boolean {
  return body.errors.length === 0 && body.warnings.length === 0 && !body.has('data')
}

/** A 404 that is no absence: a wrong mount or a path of the other kind of KV. Taking it for one would hide a wrong config. */
export function misplaced(path: string, { response: { body } }: ApiError): BrokerError {
  const why = body.errors[0] ?? body.warnings[0] ?? 'the answer is none of a KV mount'
  if (/namespace not found/.test(why)) {
    return new BrokerError('invalid_argument', `vault: ${path} is in no namespace of the server: ${why.trim()}`, {
      hint: 'say namespace in the section as the server has it',
    })
  }
  return new BrokerError('invalid_argument', `vault: ${path} is no path of a KV mount of this kind: ${why.trim()}`, {
    hint: 'check mount and kind: KV v2 paths have data/ after the mount, KV v1 paths have not; say mount and kv in the section',
  })
}
