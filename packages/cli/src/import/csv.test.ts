import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CsvSplitter } from './csv.ts'
import { partBytesMax } from './part.ts'

/** What a text gives, cut into chunks of this many bytes. */
function split(text: string | Uint8Array, chunkBytes = Number.POSITIVE_INFINITY) {
  const splitter = new CsvSplitter()
  const bytes = Buffer.from(text)
  const parts = []
  for (let at = 0; at < bytes.length; at += chunkBytes) parts.push(...splitter.push(bytes.subarray(at, at + chunkBytes)))
  parts.push(...splitter.end())
  return parts.map(part => ('fault' in part ? part : { line: part.line, fields: part.content.map(field => Buffer.from(field).toString()) }))
}
const rows = (text: string) => split(text).map(part => ('fields' in part ? part.fields : part.fault))

const field = fc.string({ unit: fc.constantFrom('a', 'é', '"', ',', '\r', '\n', '\r\n', ' ', '😀', '') })
const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`
const isPlain = (text: string) => !/[",\r\n]/.test(text)

describe('rows of CSV', () => {
  it('come back as they were written, however they are quoted, ended and cut', () => {
    const written = fc.record({
      table: fc.array(fc.array(field, { minLength: 2, maxLength: 4 }), { maxLength: 6 }),
      quotesAll: fc.boolean(),
      end: fc.constantFrom('\n', '\r\n'),
      endsLast: fc.boolean(),
      chunkBytes: fc.integer({ min: 1, max: 40 }),
    })
    fc.assert(
      fc.property(written, ({ table, quotesAll, end, endsLast, chunkBytes }) => {
        const lines = table.map(row => row.map(text => (quotesAll || !isPlain(text) ? quoted(text) : text)).join(','))
        const text = lines.join(end) + (endsLast && lines.length > 0 ? end : '')
        expect(split(text, chunkBytes).map(part => ('fields' in part ? part.fields : part))).toEqual(table)
      }),
      { numRuns: 500 },
    )
  })

  it('never fail on any bytes, and say the same however they are cut', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.integer({ min: 1, max: 7 }), (noise, chunkBytes) => {
        const bytes = noise.map(byte => [0x22, 0x2c, 0x0a, 0x0d, 0x61][byte % 6] ?? byte)
        expect(split(bytes, chunkBytes)).toEqual(split(bytes))
      }),
      { numRuns: 500 },
    )
  })

  it('know the line where they begin, line breaks in quotes counted', () => {
    expect(split('a,b\n"x\ny",2\n\nlast,3')).toEqual([
      { line: 1, fields: ['a', 'b'] },
      { line: 2, fields: ['x\ny', '2'] },
      { line: 5, fields: ['last', '3'] },
    ])
  })

  it.each([
    ['x"y,1\nb,2', 'a quote stands in a field that is not in quotes'],
    ['"x"y,1\nb,2', 'something follows a closing quote'],
    ['x\ry,1\nb,2', 'a carriage return has no line feed'],
  ])('that are wrong are told, and the next one is read: %j', (text, fault) => {
    const [wrong, next] = split(text)
    expect(wrong).toEqual({ line: 1, fault: expect.stringContaining(fault) })
    expect(next).toEqual({ line: 2, fields: ['b', '2'] })
  })

  it('whose quote is never closed say so, and hold nothing of it', () => {
    expect(rows('a,b\n"hunter2,1\nb,2\n')).toEqual([['a', 'b'], expect.stringMatching(/never closed, so nothing after it was read/)])
  })

  it('that are too long are dropped while they are read', () => {
    const long = `a,${'x'.repeat(partBytesMax)}\nb,2\n`
    expect(rows(long)).toEqual([expect.stringContaining('longer than'), ['b', '2']])
    expect(rows(`${','.repeat(partBytesMax + 1)}\nb,2`)).toEqual([expect.stringContaining('longer than'), ['b', '2']])
  })
})
