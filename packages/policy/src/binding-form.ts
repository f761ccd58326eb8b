import type { FormReader } from './form-reader.ts'
import type { KeyPath } from './input.ts'
import { nearest } from './nearest.ts'
import { adminRole } from './policy.ts'
import type { Binding } from './rule-policy.ts'

const serviceAccountForm = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?\/[a-z0-9](?:[-.a-z0-9]{0,251}[a-z0-9])?$/
const tokenForm = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/
const subjects = ['serviceAccounts', 'tokens'] as const
const later = 'this build binds serviceAccounts and tokens'
const foreign = { jwt: later, mtls: later, users: later, groups: later, namespaces: later, roles: 'one binding, one role: write role' }

/** The id of a principal that authenticated as a Kubernetes service account, `namespace/name`. */
export const serviceAccountId = (account: string): string => `serviceAccount:${account}`
/** The id of a principal that authenticated with a token, by the token's name. */
export const tokenId = (name: string): string => `token:${name}`

/** Whether this can be the id of a principal. */
export function isPrincipalId(text: string): boolean {
  if (text.startsWith('token:')) return tokenForm.test(text.slice('token:'.length))
  return text.startsWith('serviceAccount:') && serviceAccountForm.test(text.slice('serviceAccount:'.length))
}

/** Reads one binding; undefined when it has complaints. `roles` are those that are defined anywhere. */
export function readBinding(reader: FormReader, value: unknown, path: KeyPath, roles: ReadonlySet<string>): Binding | undefined {
  const form = reader.map(value, path, ['role', ...subjects], foreign)
  if (form === undefined) return undefined
  const role = definedRole(reader, form.role, [...path, 'role'], path, roles)
  const given = subjects.filter(subject => Object.hasOwn(form, subject))
  if (given.length === 0) {
    return reader.complain(path, 'binds the role to nobody', 'add serviceAccounts: ["namespace/name"] or tokens: [name]')
  }
  const principals = given.flatMap(subject => {
    const items = reader.list(form[subject], [...path, subject], 'name at least one, or leave the key out')
    return (items ?? [undefined]).map((item, at) =>
      item === undefined ? undefined : readSubject(reader, item, [...path, subject, at], subject),
    )
  })
  if (role === undefined || !principals.every(id => id !== undefined)) return undefined
  return { role, principals }
}

function definedRole(reader: FormReader, value: unknown, path: KeyPath, parent: KeyPath, roles: ReadonlySet<string>): string | undefined {
  if (value === undefined) return reader.complain(parent, 'names no role', 'add role: with the name of a role')
  const role = reader.text(value, path)
  if (role === undefined || role === adminRole || roles.has(role)) return role
  const near = nearest(role, [...roles, adminRole])
  return reader.complain(path, `no role is named ${role}`, near === undefined ? 'define it under roles' : `did you mean ${near}?`)
}

function readSubject(reader: FormReader, item: unknown, path: KeyPath, subject: (typeof subjects)[number]): string | undefined {
  const text = reader.text(item, path)
  if (text === undefined) return undefined
  if (subject === 'tokens') {
    return tokenForm.test(text)
      ? tokenId(text)
      : reader.complain(path, `${text} is no name of a token`, 'write letters, digits and ._-, as in ci-deploy')
  }
  if (serviceAccountForm.test(text)) return serviceAccountId(text)
  return reader.complain(path, `${text} is no service account`, 'write namespace/name, as in shop/checkout; stars are not read here')
}
