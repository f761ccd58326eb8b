import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { findInCache } from '../../servers/aws-emulator.ts'
import type { AbsentReader, Fields, Name, Place, Reader } from './reader.ts'
import { run } from './run.ts'

/** Calls one method of a client for each line, and answers a line with what it gave, or the name of its exception. */
const script = `
import functools, json, sys, hvac
for line in sys.stdin:
    asked = json.loads(line)
    # a server of node:http refuses the verb LIST, which it sends otherwise
    client = hvac.Client(url=asked["url"], token=asked["token"], namespace=asked.get("namespace"), strict_http=True)
    try:
        answer = functools.reduce(getattr, asked["call"].split("."), client)(**asked["args"])
        told = {"answer": answer if isinstance(answer, dict) else None}
    except hvac.exceptions.VaultError as error:
        told = {"error": type(error).__name__, "message": str(error)}
    print(json.dumps(told), flush=True)
`

/** PyPI's `hvac`, in the cache folder of servers. */
export async function findHvac(): Promise<Reader | AbsentReader> {
  const python = await findInCache('readers/hvac/bin/python')
  if (python === undefined) return { title: 'hvac', absent: 'hvac is not in the cache folder of servers' }
  const { stdout } = await run(python, ['-c', 'from importlib.metadata import version; print(version("hvac"))'], {})
  return readerOf(new Python(python), stdout.trim())
}

interface Told {
  readonly answer?: { readonly data: Fields } | null
  readonly error?: string
  readonly message?: string
}

/** One process for all questions, started by the first. */
class Python {
  readonly #program: string
  #child: ChildProcessWithoutNullStreams | undefined
  #lines: AsyncIterator<string> | undefined
  #last: Promise<unknown> = Promise.resolve()

  constructor(program: string) {
    this.#program = program
  }

  /** One question after the other. */
  ask(question: object): Promise<Told> {
    const answer = this.#last.then(() => this.#exchange(question))
    this.#last = answer.catch(() => undefined)
    return answer
  }

  async stop(): Promise<void> {
    if (this.#child === undefined || this.#child.exitCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.stdin.end()
    await ended
  }

  async #exchange(question: object): Promise<Told> {
    this.#child ??= spawn(this.#program, ['-c', script], { env: { PATH: process.env.PATH, HOME: '/nonexistent' }, stdio: 'pipe' })
    this.#lines ??= createInterface(this.#child.stdout)[Symbol.asyncIterator]()
    let complaints = ''
    const hear = (part: Buffer) => (complaints += part.toString())
    this.#child.stderr.on('data', hear)
    this.#child.stdin.write(`${JSON.stringify(question)}\n`)
    const { value, done } = await this.#lines.next()
    this.#child.stderr.off('data', hear)
    if (done === true) throw new Error(`hvac ended: ${complaints}`)
    // what the script prints
    return JSON.parse(value) as Told
  }
}

function readerOf(python: Python, version: string): Reader {
  const ask = ({ url, token, namespace }: Place, call: string, args: object) => python.ask({ url, token, namespace, call, args })
  const must = ({ answer, error, message }: Told): Fields => {
    if (error !== undefined) throw new Error(`hvac: ${error}: ${message}`)
    return answer?.data ?? {}
  }
  const kv = (name: Name, method: string) => `secrets.kv.v${name.kv}.${method}`
  const where = ({ mount, key }: Name) => ({ mount_point: mount, path: key })
  return {
    title: `hvac ${version}`,
    numbers: 'kept',
    async read(at, name, { version: wanted = null }) {
      const more = name.kv === 1 ? {} : { version: wanted, raise_on_deleted_version: true }
      const told = await ask(at, kv(name, name.kv === 1 ? 'read_secret' : 'read_secret_version'), { ...where(name), ...more })
      if (told.error === 'InvalidPath') return undefined
      // of KV v2 one level deeper
      return name.kv === 1 ? must(told) : (must(told).data as Fields)
    },
    async write(at, name, fields, cas) {
      const condition = cas === undefined ? {} : { cas }
      const told = await ask(at, kv(name, 'create_or_update_secret'), { ...where(name), secret: fields, ...condition })
      if (told.error === 'InvalidRequest' && told.message?.includes('check-and-set') === true) return false
      must(told)
      return true
    },
    async list(at, folder) {
      return must(await ask(at, kv(folder, 'list_secrets'), where(folder))).keys as readonly string[]
    },
    async remove(at, name) {
      must(await ask(at, kv(name, name.kv === 1 ? 'delete_secret' : 'delete_latest_version_of_secret'), where(name)))
    },
    close: () => python.stop(),
  }
}
