import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { JsonSplitter } from './json.ts'
import { partBytesMax } from './part.ts'

function split(text: string | Uint8Array, chunkBytes = Number.POSITIVE_INFINITY) {
  const splitter = new JsonSplitter()
  const bytes = Buffer.from(text)
  const parts = []
  for (let at = 0; at < bytes.length; at += chunkBytes) parts.push(...splitter.push(bytes.subarray(at, at + chunkBytes)))
  parts.push(...splitter.end())
  return parts
}
const objects = (text: string, chunkBytes?: number) =>
  split(text, chunkBytes).map(part => ('fault' in part ? `${part.line}: ${part.fault}` : JSON.parse(Buffer.from(part.content).toString())))

const object = fc.dictionary(fc.string(), fc.oneof(fc.string({ unit: 'binary' }), fc.jsonValue()))

describe('objects of a stream', () => {
  it('come back one by one, as lines, spread over lines, or in an array, however the stream is cut', () => {
    const streams = fc.tuple(
      fc.array(object, { maxLength: 5 }),
      fc.constantFrom('lines', 'pretty', 'array', 'pretty array'),
      fc.integer({ min: 1, max: 50 }),
    )
    fc.assert(
      fc.property(streams, ([list, form, chunkBytes]) => {
        const plain = list.map(each => JSON.parse(JSON.stringify(each)))
        const text = {
          lines: () => plain.map(each => `${JSON.stringify(each)}\n`).join(''),
          pretty: () => plain.map(each => `${JSON.stringify(each, null, 2)}\n`).join(''),
          array: () => JSON.stringify(plain),
          'pretty array': () => `\n${JSON.stringify(plain, null, '\t')}\n`,
        }[form as 'lines']()
        expect(objects(text, chunkBytes)).toEqual(plain)
      }),
      { numRuns: 300 },
    )
  })

  it('never fail on any bytes, and say the same however they are cut', () => {
    const characters = '{}[]",:\\\n a'
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...characters), maxLength: 40 }),
        fc.integer({ min: 1, max: 7 }),
        (text, chunkBytes) => {
          expect(split(text, chunkBytes)).toEqual(split(text))
        },
      ),
      { numRuns: 500 },
    )
  })

  it('that are cut or wrong are told by their line, and the next line is read', () => {
    expect(objects('{"a":1}\n{"b":"x\n{"c":{\n{"d":4}\nnot json\n"text"\n{"e":5}\n{"f":')).toEqual([
      { a: 1 },
      '2: a string of the object that begins here is not closed on its line',
      '3: the object that begins here is not closed',
      { d: 4 },
      '5: no JSON object begins here',
      '6: no JSON object begins here',
      { e: 5 },
      '8: the object that begins here is not closed',
    ])
  })

  it('of an array that is broken off are read up to there', () => {
    expect(objects('[{"a":1},\n{"b":2}')).toEqual([{ a: 1 }, { b: 2 }, '2: the array is not closed: the stream was cut'])
    expect(objects('[{"a":1},\n7,{"b":2}]')).toEqual([{ a: 1 }, '2: what stands here is no object, so nothing after it was read'])
    expect(split('[{},{"a":\n"x\n"}]')).toMatchObject([
      { item: 1 },
      { item: 2, line: 1, fault: expect.stringContaining('nothing after it') },
    ])
    expect(objects('[]\nwhatever')).toEqual([])
  })

  it('that are too long are dropped while they are read', () => {
    expect(objects(`{"a":"${'x'.repeat(partBytesMax)}"}\n{"b":2}\n`)).toEqual([expect.stringContaining('longer than'), { b: 2 }])
  })
})
