import { execFile } from 'node:child_process'
import { access, appendFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { open } from '@keyturn/adapter-dotenv'
import { testContext } from '@keyturn/conformance'
import { SecretValue, type StorePath } from '@keyturn/core'
import dotenv from 'dotenv'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { serversFolder } from '../servers/programs.ts'

/** What the adapter writes, read by the parsers that people use. A parser that cannot be had here is absent by name. */
const pythonDotenv = '1.2.4'
const godotenv = 'v1.5.1'
const perFile = 100
const files = 24
const run = promisify(execFile)
/** What a shell adds to any environment. */
const ownOfShell = new Set(['PWD', 'OLDPWD', 'SHLVL', '_'])

/** Variables of each file: name to value. */
type Variables = Readonly<Record<string, string>>
type Reader = (files: readonly string[]) => Promise<readonly Variables[]>
type Found = { readonly read: Reader } | { readonly absent: string }

const cache = join(serversFolder(), 'dotenv-parsers')

const readers: Readonly<Record<string, Found>> = {
  'npm dotenv': { read: all => Promise.all(all.map(async file => ({ ...dotenv.parse(await readFile(file)) }))) },
  'npm dotenv, its fast parser': {
    read: all => Promise.all(all.map(async file => ({ ...dotenv.parse(await readFile(file), { fast: true }) }))),
  },
  [`python-dotenv ${pythonDotenv}`]: await findPython(),
  [`godotenv ${godotenv}`]: await findGo(),
}
const missing = Object.entries(readers).flatMap(([name, found]) => ('absent' in found ? [`${name}: ${found.absent}`] : []))
const counted = { passed: 0, failed: 0 }

let folder: string
let written: { file: string; variables: Variables; refused: number }[]

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keyturn-parsers-'))
  const values = sampleValues(files * perFile)
  written = []
  for (let number = 0; number < files; number += 1) {
    written.push(await writeFileOf(number, values.slice(number * perFile, (number + 1) * perFile)))
  }
})

afterEach(({ task }) => {
  counted[task.result?.state === 'fail' ? 'failed' : 'passed'] += 1
})

afterAll(async () => {
  const table = process.env.KEYTURN_LIVE_TABLE
  const row = { adapter: 'dotenv', server: 'dotenv-parsers', ...counted, ...(missing.length === 0 ? {} : { absent: missing.join('; ') }) }
  if (table !== undefined) await appendFile(table, `${JSON.stringify(row)}\n`)
  await rm(folder, { recursive: true })
})

describe('what the adapter writes', () => {
  test('is enough of it to mean something', () => {
    const kept = written.reduce((sum, { refused }) => sum + perFile - refused, 0)
    expect(kept).toBeGreaterThan(1_700)
    expect(kept).toBeLessThan(files * perFile)
  })

  for (const [name, found] of Object.entries(readers)) {
    // skipped means absent here: the row of the live table says why
    test.skipIf('absent' in found)(`reads byte for byte the same in ${name}`, async () => {
      if ('absent' in found) return
      const read = await found.read(written.map(({ file }) => file))
      for (const [index, { variables }] of written.entries()) expect(read[index]).toEqual(variables)
    })
  }

  test('runs nothing, and makes no variable of its own, in a shell that sources it', async () => {
    // a shell knows no Windows line ends and no blanks around =
    const sourced = written.filter((_, number) => number % 2 === 0)
    const before = await readdir(folder)
    for (const { file, variables } of sourced) {
      const { stdout } = await run('/bin/sh', ['-c', 'set -a; . "$1"; /usr/bin/env -0', 'sh', file], {
        cwd: folder,
        env: {},
        encoding: 'buffer',
      })
      const entries = new Map(
        stdout
          .toString()
          .split('\0')
          .filter(Boolean)
          .map(entry => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)] as const),
      )
      expect([...entries.keys()].filter(name => !ownOfShell.has(name)).sort()).toEqual(Object.keys(variables).sort())
      for (const [name, value] of Object.entries(variables)) {
        // it has no escape for a carriage return in quotes, and takes a backslash away where there are none
        if (!/\r|\\/.test(value)) expect(entries.get(name)).toBe(value)
      }
    }
    expect(await readdir(folder)).toEqual(before)
  })
})

/** One file as a person might have it, then a hundred values written into it by the adapter. */
async function writeFileOf(number: number, values: readonly string[]) {
  const file = join(folder, `${number}.env`)
  const end = number % 2 === 0 ? '\n' : '\r\n'
  const equals = number % 2 === 0 ? '=' : ' = '
  const names = values.map((_, index) => `V_${index}`)
  const there = names.filter((_, index) => index % 3 === 0)
  const lines = there.map((name, index) => (index % 2 === 0 ? `export ${name}='old' # set by hand # twice` : `${name}${equals}"old"`))
  await writeFile(file, ['# settings', 'KEPT_FIRST=1', ...lines, '', "KEPT_LAST='a b' # last"].join(end) + (number % 4 < 2 ? end : ''))
  const context = testContext('parsers', { data: folder })
  const store = open({ file, names: 'same' }, context)
  const variables: Record<string, string> = { KEPT_FIRST: '1', KEPT_LAST: 'a b' }
  for (const name of there) variables[name] = 'old'
  let refused = 0
  for (const [index, text] of values.entries()) {
    const value = SecretValue.text(text)
    if (store.refuses(value) !== undefined) {
      refused += 1
      continue
    }
    const signal = AbortSignal.timeout(30_000)
    await store.write(`V_${index}` as StorePath, value, { idempotencyKey: crypto.randomUUID(), signal })
    variables[`V_${index}`] = text
  }
  return { file, variables, refused }
}

/** Every short text of awkward characters, then random ones of several kinds; the same each time. */
function sampleValues(count: number): readonly string[] {
  const characters = [...'\'"`\\$#={}(n \n\r', '\t', 'A', 'é', '\u{1f511}', '\u2028', '\ufeff', '\u0085', '\u00a0']
  const short = ['', ...characters, ...characters.flatMap(one => characters.map(other => one + other))]
  const commands = [
    '$(touch RAN)',
    '`touch RAN`',
    "'; touch RAN; '",
    '"; touch RAN; "',
    'a\ntouch RAN',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a shell's expansion, which nothing may run
    '${X:-$(touch RAN)}',
    '\\\ntouch RAN',
    '#\ntouch RAN',
  ]
  const random = fc.oneof(
    { weight: 3, arbitrary: fc.string({ unit: fc.constantFrom(...characters, 'b', 'N', '0', '_', ':', '-', '\\n'), maxLength: 16 }) },
    { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
    { weight: 2, arbitrary: fc.string({ maxLength: 60 }) },
    { weight: 1, arbitrary: fc.base64String({ maxLength: 200 }) },
    { weight: 1, arbitrary: fc.json({ maxDepth: 2 }) },
    { weight: 1, arbitrary: fc.webUrl({ withQueryParameters: true, withFragments: true }) },
    {
      weight: 1,
      arbitrary: fc
        .base64String({ minLength: 64, maxLength: 640 })
        .map(text => `-----BEGIN KEY-----\n${text.replace(/.{64}/g, '$&\n')}\n-----END KEY-----\n`),
    },
  )
  return [...short, ...commands, ...fc.sample(random, { numRuns: count, seed: 59 })].slice(0, count)
}

async function findPython(): Promise<Found> {
  const program = [
    'import base64, json, sys',
    'from dotenv import dotenv_values',
    'encode = lambda value: base64.b64encode((value or "").encode()).decode()',
    'print(json.dumps([{name: encode(value) for name, value in dotenv_values(file).items()} for file in sys.argv[1:]]))',
  ].join('\n')
  return have(`python-dotenv-${pythonDotenv}`, async into => {
    await run('python3', ['-m', 'venv', into])
    await run(join(into, 'bin', 'python'), [
      '-m',
      'pip',
      'install',
      '--quiet',
      '--disable-pip-version-check',
      `python-dotenv==${pythonDotenv}`,
    ])
  }).then(found => ('absent' in found ? found : { read: decoded(join(found.at, 'bin', 'python'), ['-X', 'utf8', '-c', program]) }))
}

async function findGo(): Promise<Found> {
  const program = `package main
import ("encoding/base64"; "encoding/json"; "os"; "github.com/joho/godotenv")
func main() {
  all := []map[string]string{}
  for _, file := range os.Args[1:] {
    variables, err := godotenv.Read(file)
    if err != nil { panic(err) }
    for name, value := range variables { variables[name] = base64.StdEncoding.EncodeToString([]byte(value)) }
    all = append(all, variables)
  }
  json.NewEncoder(os.Stdout).Encode(all)
}
`
  return have(`godotenv-${godotenv}`, async into => {
    await mkdir(into, { recursive: true })
    await writeFile(join(into, 'main.go'), program)
    await run('go', ['mod', 'init', 'reader'], { cwd: into })
    await run('go', ['get', `github.com/joho/godotenv@${godotenv}`], { cwd: into })
    await run('go', ['build', '-o', 'reader', '.'], { cwd: into })
  }).then(found => ('absent' in found ? found : { read: decoded(join(found.at, 'reader'), []) }))
}

/** Makes a folder of the cache once; one that was made half is not taken for whole. */
async function have(name: string, make: (into: string) => Promise<void>): Promise<{ at: string } | { absent: string }> {
  const at = join(cache, name)
  const whole = `${at}.whole`
  if (
    await access(whole).then(
      () => true,
      () => false,
    )
  )
    return { at }
  try {
    await mkdir(dirname(at), { recursive: true })
    await rm(at, { recursive: true, force: true })
    await make(at)
    await writeFile(whole, '')
    return { at }
  } catch (error) {
    return { absent: (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? 'it could not be installed' }
  }
}

function decoded(command: string, parameters: readonly string[]): Reader {
  return async all => {
    const { stdout } = await run(command, [...parameters, ...all], { maxBuffer: 64_000_000, env: { PATH: process.env.PATH } })
    const read = JSON.parse(stdout) as Record<string, string>[]
    return read.map(variables =>
      Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, Buffer.from(value, 'base64').toString()])),
    )
  }
}
