import { fromWire, readStrictJson, requestComplaints, type SecretWrite, secretWrite } from '@keyturn/api'
import { BrokerError, type SecretName, type SecretValue, secretName, secretTypes } from '@keyturn/core'
import { wrongUse } from '../exit.ts'

/** One secret of a stream: what is to be written, under which name. */
export interface Entry {
  readonly name: SecretName
  readonly body: SecretWrite
  /** The value of `body`, to be compared. */
  readonly value: SecretValue
}

/** Reads a part of a stream as an entry. Throws `BrokerError` with a reason that holds nothing of the part. */
export type ReadEntry<T> = (content: T) => Entry

/** An object with `name`, `value` or `fields`, and perhaps `type` and `labels`. */
export function entryOfJson(bytes: Uint8Array): Entry {
  const object = jsonOf(bytes)
  const { name, ...body } = object as Readonly<Record<string, unknown>> // the splitter gives objects alone
  if (typeof name !== 'string') throw bad('it has no `name`, or one that is no text')
  return entry(name, body)
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return readStrictJson(bytes)
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error
    throw bad(error.message.replace('the body', 'it'))
  }
}

const columns = ['name', 'type', 'value'] as const

/** Rows below a header of `name`, `value` and perhaps `type`, in any order. A header that is another one ends the command: exit 2. */
export function entryOfCsv(header: readonly Uint8Array[]): ReadEntry<readonly Uint8Array[]> {
  const titles = header.map(textOf)
  const [name, type, value] = columns.map(column => titles.indexOf(column)) as [number, number, number] // one for each column
  const isKnown = titles.every(title => columns.some(column => column === title)) && new Set(titles).size === titles.length
  if (!isKnown || name === -1 || value === -1) {
    throw wrongUse('the first line of the CSV is not its header', 'begin with: name,type,value (type may be left out), separated by commas')
  }
  return fields => {
    if (fields.length !== titles.length) throw bad(`it has ${fields.length} fields, and the header ${titles.length}`)
    const text = (at: number) => textOf(fields[at] ?? Buffer.alloc(0))
    const given = type === -1 ? '' : text(type)
    return entry(text(name), { value: text(value), ...(given === '' ? {} : { type: given }) })
  }
}

function entry(given: string, body: object): Entry {
  const name = secretName(given)
  const parsed = secretWrite.safeParse(body)
  if (!parsed.success) {
    const [complaint] = requestComplaints(parsed.error)
    throw bad([complaint?.path, complaint?.message].filter(Boolean).join(': '))
  }
  const { type } = parsed.data
  if (type !== undefined && !secretTypes.some(each => each === type)) throw bad(`its type is none of ${secretTypes.join(', ')}`)
  return { name, body: parsed.data, value: fromWire(parsed.data) }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function textOf(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes)
  } catch {
    throw bad('it is not UTF-8; JSON takes bytes as {"base64": "..."}')
  }
}

function bad(why: string): BrokerError {
  return new BrokerError('invalid_argument', why)
}
