import { SecretValue } from '@keyturn/core'
import dotenv from 'dotenv'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { refusal, valueBytesMax, writtenForms } from './quoting.ts'

const awkward = fc.string({ unit: fc.constantFrom(...'\'"`\\$#= \n\r\t{}()nrA_0é\u{1f511}\u2028'), maxLength: 12 })
const values = fc.oneof(fc.string({ unit: 'binary' }), awkward, fc.base64String(), fc.lorem())

describe('how a text is written', () => {
  test.each([
    ['plain text without quotes', 'aB3/+=', 'aB3/+='],
    ['an empty text as nothing', '', ''],
    ['blanks in single quotes', ' a ', "' a '"],
    ['a hash in single quotes', 'a#b', "'a#b'"],
    ['expansion in single quotes', '$HOME $(id) `id`', "'$HOME $(id) `id`'"],
    ['lines in single quotes', 'a\nb', "'a\nb'"],
    ['JSON in single quotes', '{"a":1}', `'{"a":1}'`],
    ['a single backslash in single quotes', 'a\\n b', "'a\\n b'"],
    ['a single quote in double quotes', "it's", `"it's"`],
    ['a carriage return as an escape', 'a\r\nb', '"a\\r\nb"'],
    ['two backslashes without quotes', 'a\\\\b', 'a\\\\b'],
  ])('%s', (_title, text, form) => {
    expect(writtenForms(text)[0]).toBe(form)
  })

  test('so that no shell runs any of it', () => {
    fc.assert(
      fc.property(values, text => {
        for (const form of writtenForms(text)) {
          if (form.startsWith("'")) expect(form.slice(1, -1)).not.toContain("'")
          else if (form.startsWith('"')) expect(form.slice(1, -1)).not.toMatch(/["$`]/)
          else expect(form).toMatch(/^([\w./:@%+,=\\-]*[\w./:@%+,=-])?$/)
        }
      }),
      { numRuns: 5_000, seed: 21 },
    )
  })

  test('so that npm dotenv reads it back, between neighbours and without', () => {
    let written = 0
    fc.assert(
      fc.property(values, text => {
        for (const form of writtenForms(text)) {
          written += 1
          expect(dotenv.parse(`V=${form}\n`)).toEqual({ V: text })
          expect(dotenv.parse(`A='b'\nV=${form}\nC="d"\n`)).toEqual({ A: 'b', V: text, C: 'd' })
        }
      }),
      { numRuns: 2_000, seed: 22 },
    )
    expect(written).toBeGreaterThan(2_000)
  })
})

describe('what is refused', () => {
  test.each([
    ['a NUL', 'a\0b', 'NUL'],
    ['what python-dotenv replaces', 'a $'.concat('{HOME}'), 'python-dotenv'],
    ['single and double quotes together', `'"`, 'no way of quoting'],
    ['a single quote and a backslash', "'\\", 'no way of quoting'],
    ['a carriage return and a dollar', '\r$', 'no way of quoting'],
    ['a final backslash', 'C:\\', 'no way of quoting'],
    ['two backslashes beside a blank', 'a \\\\ b', 'no way of quoting'],
    ['too many bytes', 'x'.repeat(valueBytesMax), 'larger than 65536 bytes'],
  ])('%s', (_title, text, why) => {
    expect(refusal(SecretValue.text(text))).toContain(why)
  })

  test('bytes that are no text, and sets of fields', () => {
    expect(refusal(SecretValue.bytes(Uint8Array.of(0xff)))).toContain('not UTF-8')
    expect(refusal(SecretValue.fields({ a: 'b' }))).toContain('set of fields')
  })

  test('never ordinary secrets: passwords of printable characters without both quotes or backslashes, keys, tokens', () => {
    const printable = fc.string({ unit: fc.constantFrom(...'abcXYZ0189!@#%^&*()-_=+[]{}|;:,.<>/?~ "$`') })
    fc.assert(
      fc.property(printable, text => {
        fc.pre(!text.includes('${'))
        expect(refusal(SecretValue.text(text))).toBeUndefined()
      }),
      { numRuns: 2_000, seed: 23 },
    )
  })
})
