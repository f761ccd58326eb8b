import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'

/** A part of this length shows that a value got out: parsers quote a few characters around what they do not like. */
const windowChars = 10

/** A text that stands nowhere else. */
export function canary(): string {
  return randomBytes(18).toString('hex')
}

/** As much of it, again and again, as a value has bytes. */
export function singing(text: string, bytes: number): string {
  return text.repeat(Math.ceil(bytes / text.length)).slice(0, bytes)
}

/** The forms in which a careless line could show a part of it. Base64 has three, by where in a longer text it begins. */
function formsOf(text: string): readonly string[] {
  const twice = text + text
  const windows = Array.from(text, (_, index) => twice.slice(index, index + windowChars))
  // the first and the last group also hold what stands around it
  const base64 = [0, 1, 2].map(shift =>
    Buffer.from('\0'.repeat(shift) + twice)
      .toString('base64')
      .slice(4, -4),
  )
  return [...windows, Buffer.from(text).toString('hex'), ...base64.map(each => each.slice(0, 2 * windowChars))]
}

/** Every way in which an error is looked at: as text, as JSON, by `inspect`, and the same of what is behind it. */
export function facesOf(error: unknown, seen: ReadonlySet<unknown> = new Set()): readonly string[] {
  if (seen.has(error) || !(error instanceof Error)) return [inspect(error, { depth: 20 }), String(error)]
  const behind = ['cause', 'origin'].flatMap(name => (name in error ? [Reflect.get(error, name) as unknown] : []))
  const others = error instanceof AggregateError ? error.errors : []
  const further = [...behind, ...others].filter(each => each !== undefined).flatMap(each => facesOf(each, new Set([...seen, error])))
  return [String(error), error.message, error.stack ?? '', asJson(error), inspect(error, { depth: 20 }), ...further]
}

function asJson(thing: unknown): string {
  const seen = new Set<unknown>()
  return JSON.stringify(thing, (_name, value: unknown) => {
    if (typeof value === 'bigint') return String(value)
    if (typeof value !== 'object' || value === null) return value
    if (seen.has(value)) return undefined
    seen.add(value)
    return value
  })
}

/** The canaries that can be read out of these texts, each with the place. */
export function sightings(texts: readonly string[], canaries: readonly string[]): readonly string[] {
  return canaries.flatMap((each, number) =>
    texts.flatMap(text => {
      const form = formsOf(each).find(one => text.includes(one))
      return form === undefined ? [] : [`canary ${number} in ${text.slice(Math.max(0, text.indexOf(form) - 100), text.indexOf(form))}...`]
    }),
  )
}

/** Takes note of what the process prints, until it is stopped. */
export class Eavesdropper {
  readonly texts: string[] = []
  readonly #undo: (() => void)[] = []

  constructor() {
    for (const name of ['log', 'info', 'warn', 'error', 'debug', 'trace', 'dir'] as const) {
      // biome-ignore lint/suspicious/noConsole: it is what is listened to
      const before = console[name]
      console[name] = (...things: unknown[]) => void this.texts.push(things.map(thing => inspect(thing, { depth: 20 })).join(' '))
      this.#undo.push(() => (console[name] = before))
    }
    for (const stream of [process.stdout, process.stderr]) {
      const before = stream.write
      const heard = (chunk: unknown) => this.texts.push(String(chunk))
      stream.write = ((...args: Parameters<typeof before>) => {
        heard(args[0])
        return before.apply(stream, args)
      }) as typeof before
      this.#undo.push(() => (stream.write = before))
    }
    const onWarning = (warning: Error) => this.texts.push(...facesOf(warning))
    process.on('warning', onWarning)
    this.#undo.push(() => process.off('warning', onWarning))
  }

  stop(): void {
    for (const undo of this.#undo) undo()
  }
}
