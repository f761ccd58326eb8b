import type { FormReader } from './form-reader.ts'
import type { KeyPath } from './input.ts'
import { type NamePattern, readPattern } from './name-pattern.ts'
import { type Action, actions } from './policy.ts'
import type { Rule } from './rule.ts'

const conditions = ['types', 'secrets', 'labels', 'actions'] as const
const orLeaveOut = (what: string) => `name at least one, or leave the key out to mean ${what}`

/** Words of other systems, and what they are here. */
const foreignActions = {
  create: 'write: it makes a secret or a new version of one',
  update: 'write: it makes a secret or a new version of one',
  patch: 'write: it makes a secret or a new version of one',
  get: 'read',
  sudo: 'admin',
  deny: 'put the rule under deny',
  '*': 'leave the key out to mean every action',
}
const foreignConditions = {
  paths: 'did you mean secrets?',
  path: 'did you mean secrets?',
  capabilities: 'did you mean actions?',
  effect: 'put the rule under allow or under deny',
}

/** Reads one rule; undefined when it has complaints. */
export function readRule(
  reader: FormReader,
  value: unknown,
  place: { readonly path: KeyPath; readonly role: string; readonly effect: Rule['effect']; readonly types: readonly string[] },
): Rule | undefined {
  const { path, role, effect } = place
  const form = reader.map(value, path, conditions, foreignConditions)
  if (form === undefined) return undefined
  if (Object.keys(form).length === 0) {
    return reader.complain(path, 'a rule without conditions holds for everything', 'if that is meant, write { secrets: ["*"] }')
  }
  const types = each(reader, form, path, 'types', 'every type', (item, at) => reader.word(item, at, place.types, 'type of secret'))
  const secrets = each(reader, form, path, 'secrets', 'every name', (item, at) => pattern(reader, item, at))
  const wanted = each(reader, form, path, 'actions', 'every action', (item, at) =>
    reader.word<Action>(item, at, actions, 'action', foreignActions),
  )
  const labels = form.labels === undefined ? null : readLabels(reader, form.labels, [...path, 'labels'])
  if (types === undefined || secrets === undefined || wanted === undefined || labels === undefined) return undefined
  return { role, effect, at: reader.locate(path), types, secrets, labels, actions: wanted }
}

/** null: left out; undefined: complained. */
function each<T>(
  reader: FormReader,
  form: Readonly<Record<string, unknown>>,
  path: KeyPath,
  key: (typeof conditions)[number],
  all: string,
  read: (item: unknown, path: KeyPath) => T | undefined,
): readonly T[] | null | undefined {
  if (!Object.hasOwn(form, key)) return null
  const items = reader.list(form[key], [...path, key], orLeaveOut(all))?.map((item, at) => read(item, [...path, key, at]))
  return items?.every(item => item !== undefined) ? items : undefined
}

function pattern(reader: FormReader, item: unknown, path: KeyPath): NamePattern | undefined {
  const text = reader.text(item, path)
  if (text === undefined) return undefined
  const read = readPattern(text)
  return 'message' in read ? reader.complain(path, read.message, read.remedy) : read
}

function readLabels(reader: FormReader, value: unknown, path: KeyPath): Rule['labels'] | undefined {
  const map = reader.anyMap(value, path, 'label names with their values, as in { tier: gold }')
  if (map === undefined) return undefined
  const names = Object.keys(map).sort()
  if (names.length === 0) return reader.complain(path, 'names no label', orLeaveOut('any labels'))
  const pairs = names.map(name => [name, reader.text(map[name], [...path, name])] as const)
  return pairs.every((pair): pair is readonly [string, string] => pair[1] !== undefined) ? pairs : undefined
}
