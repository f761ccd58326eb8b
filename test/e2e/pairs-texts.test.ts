import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ran } from '../../packages/cli/test/fake-terminal.ts'
import { Place, start } from './harness.ts'
import { type Backend, startBackends } from './pairs-backends.ts'

/** Texts and bytes that stores are known to bend. */
const values: Readonly<Record<string, string | { readonly base64: string }>> = {
  plain: 'postgres://orders:p%40ss@db/orders?x=1&y=2',
  lines: 'one\r\ntwo\nthree\r\n',
  quotes: `"double" 'single' \`back\` $HOME #no \\n`,
  unicode: '\ufeffü 🔑 e\u0301 \u2028',
  zero: 'a\u0000b',
  json: '{"looks":"like an object","n":12345678901234567890}',
  number: '0123',
  empty: '',
  bytes: { base64: 'AP8KwA==' },
  large: `${'x'.repeat(30_000)}`,
  spaces: '  between  ',
}
const names = Object.keys(values)
const kinds = ['vault', 'aws', 'azure', 'gcp', 'kubernetes', 'dotenv', 'database']
/** What each store may refuse; everything else it must hold. */
const refusable: Readonly<Record<string, readonly string[]>> = {
  vault: ['bytes'],
  aws: ['empty'],
  azure: ['bytes', 'empty', 'large'],
  gcp: ['empty'],
  kubernetes: [],
  dotenv: ['bytes', 'quotes', 'zero'],
  database: [],
}

const place = new Place()
const env: Record<string, string> = { KEYTURN_LISTEN: '127.0.0.1:0', KEYTURN_DATA: join(place.folder, 'data') }
const backends = new Map<string, Backend>()

beforeAll(async () => {
  for (const backend of await startBackends()) {
    backends.set(backend.kind, backend)
    Object.assign(env, backend.env)
  }
  place.write('keyturn.yaml', 'database: {}\n')
  const broker = await start(place, env)
  for (const [name, value] of Object.entries(values)) {
    expect((await broker.ask('PUT', `/v1/secrets/${name}`, { body: { value } })).status).toBe(201)
  }
  await broker.stop()
})
afterAll(async () => {
  for (const backend of backends.values()) await backend.close()
  place.remove()
})

test.each(kinds)('a text goes to %s and back whole, or is refused before anything is written', async kind => {
  const home = backends.get(kind)?.home(`texts-${kind}`)
  place.write('there.yaml', home?.section(place, names) ?? '')
  place.write('back.yaml', `database: { file: "${join(place.folder, `back-from-${kind}.db`)}" }\n`)
  const keyturn = async (line: string) => {
    const answer = await ran([...line.split(' '), '--json'], { cwd: place.folder, env })
    return {
      ...answer,
      steps: answer.out
        .split('\n')
        .filter(one => one !== '')
        .map(one => JSON.parse(one)),
    }
  }
  const plan = await keyturn(`copy database ${kind} --to-config there.yaml --plan`)
  const cannot = plan.steps.filter(({ action }) => action === 'cannot').map(({ name }) => name)
  expect(cannot.filter(name => !refusable[kind]?.includes(name))).toEqual([])
  expect(plan.code).toBe(cannot.length > 0 ? 2 : 0)
  const only = names
    .filter(name => !cannot.includes(name))
    .flatMap(name => ['--only', name])
    .join(' ')
  const there = await keyturn(`copy database ${kind} --to-config there.yaml --verify ${only}`)
  expect([there.code, there.steps.at(-1)], there.err).toEqual([
    0,
    expect.objectContaining({ copied: names.length - cannot.length, differs: 0 }),
  ])
  const back = await keyturn(`copy ${kind} database --config there.yaml --to-config back.yaml --verify ${only}`)
  expect(back.code, back.err).toBe(0)

  place.write('keyturn.yaml', place.read('back.yaml'))
  const broker = await start(place, env)
  try {
    for (const name of names.filter(each => !cannot.includes(each))) {
      const { value, fields } = (await broker.ask('GET', `/v1/secrets/${name}`)).body
      // what was one field of an entry there is a set of that field where either is kept
      expect([name, value ?? fields.value]).toEqual([name, values[name]])
    }
  } finally {
    await broker.stop()
    place.write('keyturn.yaml', 'database: {}\n')
  }
})
