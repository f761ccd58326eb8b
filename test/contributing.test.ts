import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Block, blocksOf, patched } from './docs/blocks.ts'
import { type Ran, WorkingCopy } from './docs/working-copy.ts'

const page = readFileSync(join(import.meta.dirname, '../CONTRIBUTING.md'), 'utf8')
const blocks = blocksOf(page, 'CONTRIBUTING.md')
/** Each takes seconds; a machine that does other things takes longer. */
const timeout = 300_000

describe('the steps that add an adapter', () => {
  let copy: WorkingCopy
  beforeAll(() => {
    copy = WorkingCopy.ofCheckout()
  }, timeout)
  afterAll(() => copy.remove())

  test('work as they stand', { timeout }, async () => {
    const ran: Ran[] = []
    for (const block of blocks) ran.push(...(await copy.follow(block)))
    const said = (command: RegExp) => ran.find(one => command.test(one.command))?.output ?? ''
    const passed = (output: string) => Number(/Tests\s+(\d+) passed/.exec(output)?.[1])
    expect(passed(said(/^npx --no vitest .*adapter-folder$/))).toBeGreaterThan(15)
    expect(passed(said(/^npx --no vitest .*architecture.* test\/readme/))).toBeGreaterThan(15)
    expect(said(/^npx --no keyturn check/)).toMatch(/mail\/smtp\s+files \(folder\)\s+service-token\s+24h/)
    expect(said(/^npx --no keyturn check/)).toMatch(/ok\s+files: mail\/smtp\s+file smtp/)
  })

  test('change nothing outside the folder but one line of compose.ts', () => {
    const outside = blocks.filter(({ file }) => file !== undefined && !/^(packages\/adapter-folder|try)\//.test(file))
    expect(outside.map(({ file, text }) => [file, text.split('\n').filter(line => /^[+-]/.test(line)).length])).toEqual([
      ['packages/broker/src/compose.ts', 1],
    ])
  })

  test('make what the type check accepts', { timeout }, async () => {
    // all of the house is `npm run types`; this is what the steps touched
    const include = ['packages/adapter-folder/src', 'packages/broker/src/compose.ts']
    copy.write('tsconfig.steps.json', JSON.stringify({ extends: './tsconfig.json', include }))
    await copy.follow({ language: 'sh', file: undefined, text: 'tsc -p tsconfig.steps.json\n', at: 'the type check' })
  })
})

describe('a broken block is found', () => {
  const copy = new WorkingCopy()
  afterAll(() => copy.remove())
  const diff = (text: string): Block => ({ language: 'diff', file: 'a.ts', text, at: 'CONTRIBUTING.md:7' })

  test('a diff whose lines are not there, or twice', async () => {
    copy.write('a.ts', 'one\ntwo\none\n')
    await expect(copy.follow(diff(' three\n+four\n'))).rejects.toThrow(
      'CONTRIBUTING.md:7: these lines must stand in a.ts once, and stand there 0 times',
    )
    await expect(copy.follow(diff(' one\n+four\n'))).rejects.toThrow('stand there 2 times')
    await expect(copy.follow(diff('+four\n'))).rejects.toThrow('stand there 0 times')
    await expect(copy.follow(diff('two\n'))).rejects.toThrow('begins with a space, + or -: two')
    expect(copy.read('a.ts')).toBe('one\ntwo\none\n')
  })

  test('a command that fails, with what it said', async () => {
    const block = { language: 'sh', file: undefined, text: 'echo first\necho no >&2; exit 3\n', at: 'CONTRIBUTING.md:9' }
    await expect(copy.follow(block)).rejects.toThrow('CONTRIBUTING.md:9: echo no >&2; exit 3: ended with 3:\nno\n')
  })

  test('a dependency that is not installed', () => {
    copy.write('packages/adapter-x/package.json', JSON.stringify({ dependencies: { zod: '0.0.1' } }))
    expect(() => copy.install()).toThrow('packages/adapter-x wants zod 0.0.1, and nothing is installed')
  })

  test('what is right is done', () => {
    expect(patched('a\n  b\nc\n', diff('   b\n+  new $&\n-c\n'))).toBe('a\n  b\n  new $&\n')
    expect(blocksOf('x\n```ts file=a.ts\n1\n```\n\n````md file=b.md\n```sh\nls\n```\n````\n', 'p')).toEqual([
      { language: 'ts', file: 'a.ts', text: '1\n', at: 'p:2' },
      { language: 'md', file: 'b.md', text: '```sh\nls\n```\n', at: 'p:6' },
    ])
  })
})
