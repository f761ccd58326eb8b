import { BrokerError, type FieldInput, SecretValue, type StoreAdapter, type StorePath, textOf } from '@keyturn/core'

/**
 * A store of texts as one of field sets, for the paths whose `format` is `json`: the top-level members of the object are the fields. A member that is
 * no string is its source text, and goes back as it came.
 */
export function jsonFields(adapter: StoreAdapter, isJson: (path: StorePath) => boolean): StoreAdapter {
  const { stages } = adapter
  const text = (path: StorePath, value: SecretValue) => (isJson(path) ? SecretValue.text(toJson(value)) : value)
  const wrapped: Pick<StoreAdapter, 'read' | 'write' | 'refuses' | 'stages'> = {
    async read(path, options) {
      const found = await adapter.read(path, options)
      return isJson(path) ? { ...found, value: fromJson(path, found.value) } : found
    },
    write: (path, value, options) => adapter.write(path, text(path, value), options),
    refuses(value) {
      if (value.fieldNames === undefined) return adapter.refuses(value)
      return hasBytes(value) ? 'a field holds bytes that are no text, which JSON cannot' : adapter.refuses(SecretValue.text(toJson(value)))
    },
    ...(stages === undefined
      ? {}
      : {
          stages: {
            stage: (path, value, options) => stages.stage(path, text(path, value), options),
            promote: (path, move, options) => stages.promote(path, move, options),
          },
        }),
  }
  // what is not wrapped is the adapter's own, on the adapter itself: members may be hidden ones of a class
  return new Proxy(adapter, {
    get(target, member) {
      if (Object.hasOwn(wrapped, member)) return Reflect.get(wrapped, member)
      const own: unknown = Reflect.get(target, member)
      return typeof own === 'function' ? own.bind(target) : own
    },
  })
}

function fromJson(path: StorePath, value: SecretValue): SecretValue {
  const content = value.reveal()
  const text = 'field' in content ? textOf(content.field) : undefined
  const members = text === undefined ? undefined : membersOf(text)
  if (members !== undefined && members.size > 0) return SecretValue.fields(members)
  throw new BrokerError('corrupt', `${path} is no JSON object with members, and the config says format: json`, {
    hint: 'correct the value, or write format: text',
  })
}

/** The members of a JSON object; undefined when the text is none, or has a member twice. */
function membersOf(text: string): ReadonlyMap<string, FieldInput> | undefined {
  try {
    const whole: unknown = JSON.parse(text)
    if (typeof whole !== 'object' || whole === null || Array.isArray(whole)) return undefined
  } catch {
    return undefined
  }
  const members = new Map<string, FieldInput>()
  for (const [name, source] of sourcesIn(text)) {
    if (members.has(name)) return undefined
    members.set(name, source.startsWith('"') ? String(JSON.parse(source)) : { json: source })
  }
  return members
}

/** Names and source texts of the members of an object that is known to be valid JSON. */
function* sourcesIn(text: string): Iterable<readonly [string, string]> {
  // a string, a bracket, or one of the two marks: nothing else decides where a member ends
  const mark = /"(?:[^"\\]|\\.)*"|[{}[\],:]/gs
  let depth = 0
  let name: string | undefined
  let from = 0
  for (let found = mark.exec(text); found !== null; found = mark.exec(text)) {
    const [word] = found
    if (depth === 1 && name === undefined && word.startsWith('"')) name = String(JSON.parse(word))
    else if (depth === 1 && word === ':') from = mark.lastIndex
    else if (depth === 1 && name !== undefined && (word === ',' || word === '}')) {
      yield [name, text.slice(from, found.index).trim()]
      name = undefined
    }
    if (word === '{' || word === '[') depth += 1
    if (word === '}' || word === ']') depth -= 1
  }
}

function toJson(value: SecretValue): string {
  const content = value.reveal()
  if ('field' in content) throw new BrokerError('invalid_argument', 'a secret with format: json is a set of named fields')
  const members = [...content.fields].map(([name, field]) => {
    const text = textOf(field) ?? ''
    return `${JSON.stringify(name)}:${field.form === 'json' ? text : JSON.stringify(text)}`
  })
  return `{${members.join(',')}}`
}

function hasBytes(value: SecretValue): boolean {
  const content = value.reveal()
  return 'fields' in content && [...content.fields.values()].some(field => field.form === 'bytes')
}
