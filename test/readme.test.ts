import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type RunningBroker, readConfig } from '@keyturn/broker'
import { describeConfig, storeKinds } from '@keyturn/config'
import { afterAll, describe, expect, test } from 'vitest'
import { welcome } from '../packages/cli/src/welcome.ts'
import { ran } from '../packages/cli/test/fake-terminal.ts'
import { blocksOf } from './docs/blocks.ts'
import { brokenLinks, type Page } from './docs/links.ts'

const root = join(import.meta.dirname, '..')
const readme = readFileSync(join(root, 'README.md'), 'utf8')
const blocks = blocksOf(readme, 'README.md')
const scratch = mkdtempSync(join(tmpdir(), 'keyturn-readme-'))
afterAll(() => rmSync(scratch, { recursive: true }))

const files = execFileSync('git', ['ls-files', '-coz', '--exclude-standard'], { cwd: root, encoding: 'utf8' })
  .split('\0')
  .filter(path => path !== '' && existsSync(join(root, path)))
const pages: readonly Page[] = files
  .filter(path => path.endsWith('.md'))
  .map(path => ({ path, text: readFileSync(join(root, path), 'utf8') }))

/** Why a command line of a document would not be understood; undefined when it would. */
async function misread(line: string): Promise<string | undefined> {
  const words = line.replace(/\s#.*$/, '').split(/\s+/)
  const argv = words.slice(words.indexOf('keyturn') + 1)
  const { code, out } = await ran([...argv, '--help'])
  const [usage = '', ...lines] = out.split('\n')
  const known = /^Usage: keyturn (.*?)(?: [[A-Z-].*)?$/.exec(usage)?.[1]?.split(' ') ?? []
  // the help of a group is not that of a command in it
  if (code !== 0 || usage.includes('[command]') || !known.every((word, at) => argv[at] === word)) return `${line}: no such command`
  const options = lines.flatMap(one => /^\s+(-.*?)(?:\s{2}|$)/.exec(one)?.[1]?.split(/[ ,]+/) ?? [])
  const unknown = argv.filter(word => word.startsWith('-')).find(option => !options.includes(option.split('=')[0] ?? ''))
  return unknown === undefined ? undefined : `${line}: no option ${unknown}`
}

describe('README.md', () => {
  test('its config loads, and says what the page says', async () => {
    const [config, ...more] = blocks.filter(block => block.language === 'yaml')
    expect(more).toEqual([])
    const file = join(scratch, 'keyturn.yaml')
    writeFileSync(file, config?.text ?? '')
    const read = await readConfig({ config: file, cwd: scratch, env: { VAULT_ADDR: 'https://vault.example.com:8200' } })
    expect(read.warnings).toEqual([])
    expect(describeConfig(read)).toMatchObject([
      {
        name: 'payments/stripe',
        stores: ['vault'],
        type: 'api-key',
        owner: '@payments',
        every: { value: '90d', at: expect.stringMatching(/keyturn\.yaml:\d+:\d+/) },
        grace: { value: '3d', source: 'row' },
        strategy: { value: 'external' },
      },
      { name: 'shop/session', type: 'service-token', every: { value: '24h' }, grace: { value: '30m' }, strategy: { value: 'generated' } },
    ])
    // the variable it names is wanted, not guessed
    await expect(readConfig({ config: file, cwd: scratch, env: {} })).rejects.toThrow('VAULT_ADDR')
  })

  test('its three commands are those that the quickstart prints', async () => {
    const config = await readConfig({ config: 'configs/quickstart/keyturn.yaml', cwd: root, env: {} })
    const tokenFile = join(config.broker.data, 'admin.token')
    const running: Pick<RunningBroker, 'address' | 'config' | 'tokenFile'> = { address: 'http://127.0.0.1:8320', config, tokenFile }
    // what it does not have is not printed
    const printed = welcome(running as RunningBroker, root).match(/npx --no keyturn .*/g)
    expect(printed).toHaveLength(3)
    expect(blocks.find(block => block.language === 'sh')?.text).toBe(`${printed?.join('\n')}\n`)
  })

  test('its commands and their options exist', async () => {
    const lines = blocks.filter(block => block.language === 'sh').flatMap(block => block.text.split('\n').filter(line => line !== ''))
    expect(lines.length).toBeGreaterThan(4)
    expect(lines.filter(line => !/^(\w+=\S+ )*npx --no keyturn /.test(line))).toEqual([])
    expect((await Promise.all(lines.map(misread))).filter(why => why !== undefined)).toEqual([])
  })

  test('its list of stores is what the conformance runs showed', () => {
    const shown = [...readme.matchAll(/^- .*\]\(packages\/(adapter-[^/]+)\/README\.md\).*?: (.*)$/gm)].map(
      ([, name, can]) => `${name}: ${can}`,
    )
    const ships = new Set(storeKinds.map(kind => `adapter-${kind}`))
    const measured = readdirSync(join(root, 'packages'))
      // an adapter may live here that does not come with the broker
      .filter(name => name.startsWith('adapter-') && (readme.includes(`packages/${name}/`) || ships.has(name)))
      .flatMap(name => {
        const tables = readFileSync(join(root, 'packages', name, 'README.md'), 'utf8')
          .split('<!-- capabilities -->')
          .slice(1)
        return tables.map(table => `${name}: ${[...table.matchAll(/^\| (`\w+`) .*\| yes +\|$/gm)].map(([, one]) => one).join(' ')}`)
      })
    expect([...shown].sort()).toEqual([...measured].sort())
  })

  test('a command that does not exist is found', async () => {
    expect(await misread('npx --no keyturn got demo/moving')).toContain('no such command')
    expect(await misread('npx --no keyturn token made --role x')).toContain('no such command')
    expect(await misread('npx --no keyturn get demo/moving --stages previous')).toContain('no option --stages')
    expect(await misread('KEYTURN_ADDR=x npx --no keyturn audit tail -n 3 # the last')).toBeUndefined()
  })
})

describe('the documents', () => {
  test('links lead somewhere', () => {
    const known = new Set(files.flatMap(path => path.split('/').map((_, at, parts) => parts.slice(0, at + 1).join('/'))))
    expect(pages.length).toBeGreaterThan(10)
    expect(brokenLinks(pages, path => known.has(path))).toEqual([])
  })

  test('every page of docs is in its index', () => {
    const linked = (index: string) => pages.find(page => page.path === index)?.text ?? ''
    const missing = pages
      .map(({ path }) => /^docs\/(?<folder>decisions\/)?(?<name>.+)$/.exec(path)?.groups)
      .filter(found => found !== undefined && found.name !== 'README.md')
      .filter(found => !linked(`docs/${found?.folder ?? ''}README.md`).includes(`(${found?.name})`))
    expect(missing).toEqual([])
  })

  test('the npm scripts they name exist', () => {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    const named = pages.flatMap(({ path, text }) => [...text.matchAll(/npm run ([\w:-]+)/g)].map(([, name = '']) => `${path}: ${name}`))
    expect(named.length).toBeGreaterThan(3)
    expect(named.filter(one => scripts[one.split(': ')[1] ?? ''] === undefined)).toEqual([])
  })

  test('a broken link is found', () => {
    const page = (path: string, text: string): Page => ({ path, text })
    const there = page('docs/a.md', '# A `code` & more\n')
    const links =
      '[x](a.md) [x](a.md#a-code--more) `[x](no.md)`\n```\n[x](no.md)\n```\n[x](https://example.com) [x](../README.md#nope)\n[x](no.md)'
    const broken = brokenLinks([there, page('README.md', '# R\n'), page('docs/b.md', links)], path => /^(docs\/a|README)\.md$/.test(path))
    expect(broken).toEqual(['docs/b.md:5: ../README.md#nope: no such heading', 'docs/b.md:6: no.md: no such file'])
  })
})
