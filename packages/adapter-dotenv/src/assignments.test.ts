import dotenv from 'dotenv'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseAssignments } from './assignments.ts'

function read(text: string): Record<string, string> {
  return Object.fromEntries(parseAssignments(text).map(({ name, value }) => [name, value]))
}

/** Pieces that a file is made of, and those that parsers fall over. */
const pieces = [
  'A',
  'b.c',
  'export ',
  'export',
  '=',
  ' = ',
  ': ',
  ':',
  '\n',
  '\r\n',
  '\r',
  "'",
  '"',
  '`',
  '\\',
  '\\n',
  "\\'",
  '\\"',
  '#',
  ' # note',
  ' ',
  '\t',
  'value',
  '$X',
  '\u2028',
  '\ufeff',
  '\u00e9',
  '__proto__',
  '-',
]
const files = fc.array(fc.constantFrom(...pieces), { maxLength: 40 }).map(parts => parts.join(''))

describe('what is read from a file', () => {
  test.each([
    ['plain', 'A=b', { A: 'b' }],
    ['export and blanks', '  export  A = b  ', { A: 'b' }],
    ['a comment', 'A=b # note', { A: 'b' }],
    ['a hash in quotes', "A='b # c' # note", { A: 'b # c' }],
    ['several lines', 'A="b\nc"\nD=e', { A: 'b\nc', D: 'e' }],
    ['escapes in double quotes', 'A="b\\nc"', { A: 'b\nc' }],
    ['no escapes in single quotes', "A='b\\nc'", { A: 'b\\nc' }],
    ['backticks', 'A=`b"c`', { A: 'b"c' }],
    ['the last of two', 'A=b\nA=c', { A: 'c' }],
    ['nothing', 'A=\nB=', { A: '', B: '' }],
    ['a byte order mark', '\ufeffA=b', { A: 'b' }],
    ['lines that are no assignments', 'just words\n= b\nA=b', { A: 'b' }],
    ['Windows line ends', 'A=b\r\nC=d\r\n', { A: 'b', C: 'd' }],
  ])('%s', (_title, text, variables) => {
    expect(read(text)).toEqual(variables)
  })

  test('is what npm dotenv reads, whatever the file', () => {
    fc.assert(
      fc.property(files, text => {
        expect(read(text)).toEqual({ ...dotenv.parse(text) })
      }),
      { numRuns: 20_000, seed: 11 },
    )
  })

  test('says where each value stands', () => {
    fc.assert(
      fc.property(files, text => {
        for (const { name, start, nameEnd, valueStart, valueEnd } of parseAssignments(text)) {
          expect(text.slice(start, nameEnd)).toMatch(new RegExp(`^(export\\s+)?${name.replaceAll('.', '\\.')}$`))
          expect(text.slice(valueStart, valueEnd)).toBe(text.slice(valueStart, valueEnd).trim())
        }
      }),
      { numRuns: 5_000, seed: 12 },
    )
  })

  test.each([
    ['empty lines', '\n'.repeat(1_000_000)],
    ['blanks', ' '.repeat(1_000_000)],
    ['one open quote', `A='${'x'.repeat(1_000_000)}`],
    ['open quotes', "A='x\n".repeat(160_000)],
    ['escaped quotes', `A="${'\\"'.repeat(400_000)}`],
    ['names without values', 'A\n'.repeat(400_000)],
    ['separators', 'A=\n'.repeat(300_000)],
  ])('takes no more than a moment for %s', (_title, text) => {
    const before = process.threadCpuUsage()
    parseAssignments(text)
    const { user } = process.threadCpuUsage(before)
    expect(user).toBeLessThan(2_000_000)
  })
})
