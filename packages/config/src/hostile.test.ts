import { describe, expect, test } from 'vitest'
import { complaintsOf, load } from '../test/files.ts'

const bytes = 1024 * 1024
const filled = (line: (index: number) => string) => {
  let text = ''
  for (let index = 0; text.length < 100_000; index++) text += line(index)
  return text
}

describe('a file made to take long is answered soon', () => {
  const many: Readonly<Record<string, string>> = {
    'tabs in one line': `a: ${'\t'.repeat(bytes - 10)}`,
    'open brackets': '['.repeat(200_000),
    'dashes that nest': '- '.repeat(100_000),
    'one key a hundred thousand times': filled(() => 'a: 1\n'),
    'unknown sections': filled(index => `rotation${index}: 1\n`),
    'dollars in one text': `a: ${'$a'.repeat(100_000)}`,
    'variables in one text': `a: ${'$'.concat('{a}').repeat(50_000)}`,
    'rows that no store takes': `vault:\n  address: http://a\n  secrets:\n${filled(index => `  - path: s/data/n${index}\n`)}secrets:\n${filled(index => `  m${index}: {}\n`)}`,
    'fields of one path': `vault:\n  address: http://a\n  secrets:\n${filled(index => `  - { path: s/data/n, key: k${index}, name: n${index % 2} }\n`)}`,
    'prefixes and rows': `vault:\n  address: http://a\n  secrets:\n${filled(index => `  - { under: s/data/${index}/, name: p${index}/ }\n`)}secrets:\n${filled(index => `  p${index}/a: {}\n`)}`,
    'sections of one backend': filled(
      index => `s${index}: { kind: vault, address: http://a, secrets: [{ path: s/data/n, name: n${index} }] }\n`,
    ),
    'a key without end': `? ${'k'.repeat(300_000)}\n: 1`,
  }
  test.each(Object.keys(many))('%s', async name => {
    const start = performance.now()
    const complaints = await complaintsOf(many[name] ?? '').catch(() => [])
    expect(performance.now() - start).toBeLessThan(15_000)
    expect(complaints.length).toBeLessThan(2_100)
    for (const line of complaints) expect(line.length).toBeLessThan(1_000)
  })

  test('and more than 1 MiB is not read at all', async () => {
    expect(await complaintsOf(' '.repeat(bytes + 1))).toEqual(['1:1: the file is larger than 1 MiB; split it with include:'])
  })
})

describe('bytes that are no text', () => {
  const refused = (content: Uint8Array) => complaintsOf({ 'keyturn.yaml': content })

  test('have the place of the first wrong one', async () => {
    expect(await refused(Buffer.from('a: 1\nb: \xe4', 'latin1'))).toEqual([
      'keyturn.yaml:2:4: a byte that is no UTF-8; save the file as UTF-8',
    ])
    expect(await refused(Buffer.from([0x61, 0x3a, 0xc3, 0xa4, 0xff, 0x0a]))).toEqual([
      'keyturn.yaml:1:4: a byte that is no UTF-8; save the file as UTF-8',
    ])
  })

  test('of UTF-16 are named', async () => {
    expect(await refused(Buffer.from('\ufeffa: 1', 'utf16le'))).toEqual(['keyturn.yaml:1:1: the file is UTF-16; save the file as UTF-8'])
  })

  test('may start with the mark of UTF-8 and end lines as Windows does', async () => {
    const config = await load('\ufeffenvironment: staging\r\ndatabase: {}\r\n')
    expect(config.environment).toBe('staging')
  })

  test('that are a lone carriage return are refused', async () => {
    expect(await complaintsOf('a: 1\rb: 2\n')).toEqual(['1:5: a carriage return without a line feed; end lines with a line feed'])
  })
})
