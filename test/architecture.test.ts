import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { adapterFiles, importViolations, missingAdapterFiles, type SourceFile, shapeViolations, undocumented } from './architecture.ts'

const root = join(import.meta.dirname, '..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const paths = execFileSync('git', ['ls-files', '-co', '--exclude-standard', 'packages', 'test'], { cwd: root, encoding: 'utf8' })
  .split('\n')
  .filter(path => path !== '' && existsSync(join(root, path)))
const dependenciesOf = (name: string): readonly string[] =>
  Object.keys(JSON.parse(read(`packages/${name}/package.json`)).dependencies ?? {})
const sources: readonly SourceFile[] = paths.filter(path => path.endsWith('.ts')).map(path => ({ path, text: read(path) }))

describe('the house', () => {
  test('there is something to check', () => {
    expect(sources.length).toBeGreaterThan(100)
  })

  test('packages import only what they may', () => {
    expect(sources.flatMap(source => importViolations(source, dependenciesOf))).toEqual([])
  })

  test('files have the shapes that the house allows', () => {
    expect(sources.flatMap(shapeViolations)).toEqual([])
  })

  test('every adapter has the same files', () => {
    expect(missingAdapterFiles(paths)).toEqual([])
  })

  test('every public symbol is documented', () => {
    const indexes = paths.filter(path => /^packages\/[^/]+\/src\/index\.ts$/.test(path))
    expect(indexes.flatMap(index => undocumented(index, read))).toEqual([])
  })

  test('every package is in the lockfile, and none is empty', () => {
    for (const path of paths.filter(file => /^packages\/[^/]+\/package\.json$/.test(file))) {
      expect(paths.filter(file => file.startsWith(path.replace('package.json', 'src/'))).length, path).toBeGreaterThan(0)
    }
  })
})

describe('the rules find what is wrong', () => {
  const file = (path: string, text: string): SourceFile => ({ path, text })

  test.each([
    [
      'an adapter that imports another',
      'packages/adapter-vault/src/store.ts',
      "import { x } from '@keyturn/adapter-dotenv'\n",
      /may not know/,
    ],
    ['core with a dependency', 'packages/core/src/a.ts', "import { z } from 'zod'\n", /allow-list/],
    ['core with a file system', 'packages/core/src/a.ts', "import { readFileSync } from 'node:fs'\n", /no such I\/O/],
    ['core that knows an adapter', 'packages/core/src/a.ts', "export * from '@keyturn/adapter-vault'\n", /may not know/],
    ['a broker file that names an adapter', 'packages/broker/src/app.ts', "import('@keyturn/adapter-vault')\n", /only compose/],
    [
      'compose.ts that loads an SDK unasked',
      'packages/broker/src/compose.ts',
      "import { open } from '@keyturn/adapter-vault'\n",
      /by import\(\)/,
    ],
    [
      'a command that loads the broker at once',
      'packages/cli/src/commands/get.ts',
      "import { serve } from '@keyturn/broker'\n",
      /by import\(\)/,
    ],
    ['an adapter with what its package does not name', 'packages/adapter-x/src/client.ts', "import pg from 'pg'\n", /allow-list/],
    ['options with a driver', 'packages/adapter-vault/src/options.ts', "import vault from 'node-vault'\n", /no driver/],
    ['a client with a dependency', 'packages/client/src/a.ts', "import { request } from 'undici'\n", /allow-list/],
    ['an import over several lines', 'packages/core/src/a.ts', "import {\n  a,\n  b,\n} from 'yaml'\n", /allow-list/],
    ['a package that nobody listed', 'packages/other/src/a.ts', '', /no allow-list/],
  ])('%s', (_, path, text, words) => {
    expect(importViolations(file(path, text), () => ['node-vault', 'zod']).join()).toMatch(words)
  })

  test.each([
    ['a file of 401 lines', 'packages/core/src/a.ts', 'x\n'.repeat(401), /401 lines/],
    ['a drawer', 'packages/core/src/utils.ts', '', /noun/],
    ['a clock in core', 'packages/core/src/a.ts', 'const now = Date.now()\n', /port/],
    ['randomness in the policy', 'packages/policy/src/a.ts', 'Math.random()\n', /port/],
    ['a cipher beside the one module', 'packages/audit/src/a.ts', "createCipheriv('aes')\n", /ciphers/],
    ['production that imports a test', 'packages/broker/src/a.ts', "import { x } from '../../../test/fakes/vault.ts'\n", /no tests/],
  ])('%s', (_, path, text, words) => {
    expect(shapeViolations(file(path, text)).join()).toMatch(words)
  })

  test('an adapter without a file', () => {
    const all = adapterFiles.map(name => `packages/adapter-x/${name}`)
    expect(missingAdapterFiles(all)).toEqual([])
    expect(missingAdapterFiles(all.slice(1))).toEqual([`packages/adapter-x/${adapterFiles[0]}`])
  })

  test('a public symbol without a docstring', () => {
    const texts: Record<string, string> = {
      'p/index.ts': "export * from './a.ts'\nexport { b } from './b.ts'\n",
      'p/a.ts': '/** Documented. */\nexport const yes = 1\n\nexport const no = 2\n',
      'p/b.ts': 'export function b() {}\nexport function hidden() {}\n',
    }
    expect(undocumented('p/index.ts', path => texts[path] ?? '')).toEqual(['p/a.ts:4 no', 'p/b.ts:1 b'])
  })

  test('what is right passes', () => {
    expect(
      importViolations(
        file('packages/cli/src/a.ts', "import type { Serve } from '@keyturn/broker'\nimport('@keyturn/broker')\n"),
        () => [],
      ),
    ).toEqual([])
    expect(shapeViolations(file('packages/core/src/a.ts', '/** Never Date.now. */\nexport const a = 1 // not Math.random\n'))).toEqual([])
  })
})
