import dotenv from 'dotenv'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { removeVariable, setVariable } from './lines.ts'
import { writtenForms } from './quoting.ts'

const file = `# the shop's settings
export DATABASE_URL = "postgres://shop"   # moved in March

  KEY='old'
just words
CERT="-----BEGIN
-----END"
COLON: old
EMPTY=
LAST=x`

describe('setting a variable', () => {
  test.each([
    [
      'keeps export, blanks and a comment',
      'DATABASE_URL',
      'new value',
      'export DATABASE_URL = "postgres://shop"   #',
      "export DATABASE_URL = 'new value'   #",
    ],
    ['quotes plain text before a comment', 'DATABASE_URL', 'plain', '"postgres://shop"', "'plain'"],
    ['keeps the indent', 'KEY', 'new', "'old'", 'new'],
    ['replaces several lines', 'CERT', 'one\ntwo\nthree', '"-----BEGIN\n-----END"', "'one\ntwo\nthree'"],
    ['turns a colon into what every parser reads', 'COLON', 'new', 'COLON: old', 'COLON=new'],
    ['fills an empty one', 'EMPTY', 'full', 'EMPTY=', 'EMPTY=full'],
    ['changes the last line without adding one', 'LAST', 'y', 'LAST=x', 'LAST=y'],
    ['adds a new one on a line of its own', 'NEW', 'a b', 'LAST=x', "LAST=x\nNEW='a b'\n"],
  ])('%s', (_title, name, value, before, after) => {
    expect(setVariable(file, name, value)).toBe(file.replace(before, () => after))
  })

  test('changes the assignment that counts and leaves an earlier one', () => {
    expect(setVariable('A=1\nA=2\nB=3\n', 'A', '9')).toBe('A=1\nA=9\nB=3\n')
  })

  test('writes a new line as the file ends its lines', () => {
    expect(setVariable('A=1\r\n', 'B', '2')).toBe('A=1\r\nB=2\r\n')
    expect(setVariable('A=1\r\nB=2\r\nC=3', 'B', 'x y')).toBe("A=1\r\nB='x y'\r\nC=3")
    expect(setVariable('', 'A', '1')).toBe('A=1\n')
  })

  test('does not take a comment that names the variable for the variable', () => {
    expect(setVariable('# A=1\n', 'A', '2')).toBe('# A=1\nA=2\n')
  })

  test('writes what a person wrote in a way of npm alone so that all can read it', () => {
    expect(setVariable('A=`x`\n', 'A', 'x')).toBe('A=x\n')
  })

  test('refuses where an open quote would swallow the new value', () => {
    expect(setVariable("OPEN='a\n", 'B', '# "x"')).toBeUndefined()
  })

  const names = fc.constantFrom('A', 'B', 'C_D')
  const pieces = [
    'A=1',
    "export B='x y'",
    'C_D="l1\nl2"',
    '# note',
    '',
    'words',
    'A = "q"  # c',
    'B: y',
    'C_D=',
    "B=it's",
    'A=`t`',
    'X="open',
  ]
  const files = fc
    .tuple(fc.array(fc.constantFrom(...pieces), { maxLength: 8 }), fc.constantFrom('\n', '\r\n', '\r'))
    .map(([lines, end]) => lines.join(end))
  const values = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: fc.constantFrom(...'\'"`\\$# \n\ra1é') }))

  test('changes that variable alone, for npm dotenv and byte for byte, or says that it cannot', () => {
    let edits = 0
    fc.assert(
      fc.property(files, names, values, (text, name, value) => {
        const edited = setVariable(text, name, value)
        if (edited === undefined) return
        edits += 1
        expect(dotenv.parse(edited)).toEqual({ ...dotenv.parse(text), [name]: value })
        const { head, tail } = shared(text, edited)
        expect(edited.length - head - tail).toBeLessThanOrEqual(name.length + Math.max(...writtenForms(value).map(form => form.length)) + 5)
      }),
      { numRuns: 5_000, seed: 31 },
    )
    expect(edits).toBeGreaterThan(2_500)
  })

  test('removes that variable alone, whichever way it was set', () => {
    fc.assert(
      fc.property(files, names, (text, name) => {
        const edited = removeVariable(text, name)
        if (edited === undefined) return
        const { [name]: _, ...others } = dotenv.parse(text)
        expect(dotenv.parse(edited)).toEqual(others)
      }),
      { numRuns: 5_000, seed: 32 },
    )
  })
})

describe('removing a variable', () => {
  test.each([
    ['takes its line and its comment', 'DATABASE_URL', 'export DATABASE_URL = "postgres://shop"   # moved in March\n'],
    ['takes all its lines', 'CERT', 'CERT="-----BEGIN\n-----END"\n'],
    ['takes the indent', 'KEY', "  KEY='old'\n"],
    ['takes the last line', 'LAST', 'LAST=x'],
  ])('%s', (_title, name, gone) => {
    expect(removeVariable(file, name)).toBe(file.replace(gone, ''))
  })

  test('takes earlier assignments too, which would count again', () => {
    expect(removeVariable('A=1\nB=2\nA=3\n', 'A')).toBe('B=2\n')
  })
})

/** How many characters two texts share at the start, and then at the end. */
function shared(one: string, other: string): { head: number; tail: number } {
  const length = Math.min(one.length, other.length)
  let head = 0
  while (head < length && one[head] === other[head]) head += 1
  let tail = 0
  while (tail < length - head && one.at(-1 - tail) === other.at(-1 - tail)) tail += 1
  return { head, tail }
}
