import { BrokerError, type SecretName, secretName } from '@keyturn/core'
import { isPrincipalId } from './binding-form.ts'
import type { FormReader } from './form-reader.ts'
import type { KeyPath } from './input.ts'
import { nearest } from './nearest.ts'
import { type Action, actions, adminRole, type Principal } from './policy.ts'
import type { PolicyTest } from './policy-test.ts'

const members = ['as', 'action', 'secret', 'expect'] as const

/** Reads one test; undefined when it has complaints. `roles` are those that are defined anywhere. */
export function readTest(reader: FormReader, value: unknown, path: KeyPath, roles: ReadonlySet<string>): PolicyTest | undefined {
  const form = reader.map(value, path, members)
  if (form === undefined) return undefined
  const missing = members.filter(member => !Object.hasOwn(form, member))
  if (missing.length > 0) {
    return reader.complain(path, `a test needs ${missing.join(', ')}`, 'write { as: ROLE, action: read, secret: NAME, expect: allow }')
  }
  const principal = readPrincipal(reader, form.as, [...path, 'as'], roles)
  const action = reader.word<Action>(form.action, [...path, 'action'], actions, 'action')
  const secret = readName(reader, form.secret, [...path, 'secret'])
  const expect = reader.word(form.expect, [...path, 'expect'], ['allow', 'deny'] as const, 'answer')
  if (principal === undefined || action === undefined || secret === undefined || expect === undefined) return undefined
  return { as: String(form.as), principal, action, secret, expect, ...reader.where(path) }
}

function readPrincipal(reader: FormReader, value: unknown, path: KeyPath, roles: ReadonlySet<string>): Principal | undefined {
  const text = reader.text(value, path)
  if (text === undefined) return undefined
  if (roles.has(text) || text === adminRole) return { id: '', roles: [text] }
  if (isPrincipalId(text)) return { id: text, roles: [] }
  const near = nearest(text, [...roles, adminRole])
  const remedy = near === undefined ? 'write a role, token:NAME or serviceAccount:NAMESPACE/NAME' : `did you mean ${near}?`
  return reader.complain(path, `${text} is no role and no principal`, remedy)
}

function readName(reader: FormReader, value: unknown, path: KeyPath): SecretName | undefined {
  const text = reader.text(value, path)
  if (text === undefined) return undefined
  try {
    return secretName(text)
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error
    return reader.complain(path, error.message, error.hint ?? 'write the name of a secret')
  }
}
