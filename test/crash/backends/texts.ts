import { type SecretValue, textOf } from '@keyturn/core'

/** The fields of a value, each a text. */
export function textsOf(value: SecretValue): Record<string, string> {
  const content = value.reveal()
  if (!('fields' in content)) throw new Error('the value has no fields')
  return Object.fromEntries([...content.fields].map(([name, field]) => [name, textOf(field) ?? '']))
}

/** The value that is one text. */
export function plainTextOf(value: SecretValue): string {
  const content = value.reveal()
  const text = 'field' in content ? textOf(content.field) : undefined
  if (text === undefined) throw new Error('the value is no text')
  return text
}
