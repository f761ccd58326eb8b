import { type SecretValue, textOf } from '@keyturn/core'

/** The most bytes of a value as it stands in the file: half of what Linux allows one variable of an environment. */
export const valueBytesMax = 65_536

/** Read alike by every parser, and by a shell, without quotes. */
const plain = /^[\w./:@%+,=-]+$/
/** The same with backslashes that escape nothing without quotes; a last one would join the next line in a shell. */
const backslashed = /^[\w./:@%+,=\\-]*[\w./:@%+,=-]$/
/** What python-dotenv replaces whatever the quotes (its variables.py); there is no way to write it. */
const interpolated = /\$\{[^}:]*(?::-[^}]*)?\}/

/**
 * How a text may be written so that npm `dotenv` 18, `python-dotenv` 1 and `godotenv` 1 read the same bytes, best first; empty
 * when no form will do. A shell that sources the file runs nothing of it: `$` and backticks stand in single quotes only.
 */
export function writtenForms(text: string): readonly string[] {
  if (text.includes('\0') || interpolated.test(text)) return []
  const forms: string[] = []
  if (text === '' || plain.test(text)) forms.push(text)
  // python-dotenv takes one of two backslashes away; all three take one before the quote for an escape; all drop carriage returns
  if (!/['\r]|\\\\|\\$/.test(text)) forms.push(`'${text}'`)
  // a quote inside has no common escape; godotenv drops backslashes and expands $, a shell runs $( and backticks
  if (!/["\\$`]/.test(text)) forms.push(`"${text.replaceAll('\r', '\\r')}"`)
  if (backslashed.test(text) && !plain.test(text)) forms.push(text)
  return forms
}

/** Whether a form relies on the end of its line, so that no comment may follow. */
export function isBare(form: string): boolean {
  return !/^['"]/.test(form)
}

/** Why a value cannot be kept in a `.env` file whole; undefined when it can. */
export function refusal(value: SecretValue): string | undefined {
  if (value.fieldNames !== undefined) return 'a variable is one text, not a set of fields'
  const text = plainText(value)
  if (text === undefined) return 'a variable is text, and these bytes are not UTF-8'
  if (text.includes('\0')) return 'no environment variable can hold a NUL'
  if (interpolated.test(text)) return 'python-dotenv would replace what stands in $ and braces'
  const forms = writtenForms(text)
  if (forms.length === 0) return 'no way of quoting it reads the same in every parser: it mixes quotes, backslashes, $ or line ends'
  if (forms.some(form => Buffer.byteLength(form) > valueBytesMax)) return `it is larger than ${valueBytesMax} bytes as it would be written`
  return undefined
}

/** The text of a value that is one unnamed field of text. */
export function plainText(value: SecretValue): string | undefined {
  const content = value.reveal()
  return 'field' in content && content.field.form === 'text' ? textOf(content.field) : undefined
}
