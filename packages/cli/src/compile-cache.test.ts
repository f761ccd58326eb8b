import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { cacheFolder, dataIn } from '../bin/compile-cache.mjs'

const folder = mkdtempSync(join(tmpdir(), 'keyturn-cli-cache-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let places = 0
/** A folder with a config in it. */
function place(config: string): string {
  places += 1
  const made = join(folder, String(places))
  mkdirSync(made)
  writeFileSync(join(made, 'keyturn.yaml'), config)
  return made
}

test.each([
  ['broker:\n  listen: 127.0.0.1:0\n  data: here\n', 'here'],
  ['# data: not this\nbroker:\n\n  # data: nor this\n  data: "./over there"\n', undefined],
  ['broker:\r\n  data: ../here # its place\r\ndatabase: {}\r\n', '../here'],
  ['broker: { listen: "127.0.0.1:0", data: data }\ndatabase: {}\n', 'data'],
  ['{"broker": {"data": "here"}}', undefined],
  ['"broker": { data: here }', undefined],
  ['broker:\n  data: /var/lib/keyturn', '/var/lib/keyturn'],
  ['broker:\n  listen: 127.0.0.1:0\nsecrets:\n  data: {}\n', '.keyturn'],
  ['database: {}\n', '.keyturn'],
  [`broker:\n  data: ${'$'}{STATE}/keyturn\n`, undefined],
  ['broker:\n  <<: *common\n', undefined],
  ['broker:\n  data:\n    here\n', undefined],
])('%j keeps its data in %j, as far as can be told', (text, data) => {
  expect(dataIn(text)).toBe(data)
})

test('serve makes the folder, for its owner alone; nothing else makes one', () => {
  const cwd = place('broker: { data: data }\n')
  expect(cacheFolder(['check'], {}, cwd)).toBeUndefined()
  expect(existsSync(join(cwd, 'data'))).toBe(false)
  expect(cacheFolder(['serve'], {}, cwd)).toBe(join(cwd, 'data', 'cache'))
  expect(['data', 'data/cache'].map(each => statSync(join(cwd, each)).mode & 0o777)).toEqual([0o700, 0o700])
  expect(cacheFolder(['check'], {}, cwd)).toBe(join(cwd, 'data', 'cache'))
})

test('a folder that is there for others too is never used, and left as it is', () => {
  const cwd = place('broker: { data: data }\n')
  mkdirSync(join(cwd, 'data'))
  chmodSync(join(cwd, 'data'), 0o755)
  writeFileSync(join(cwd, 'data', 'mine'), '')
  expect(cacheFolder(['serve'], {}, cwd)).toBeUndefined()
  expect(statSync(join(cwd, 'data')).mode & 0o777).toBe(0o755)
})

test('the config is found as the commands find it, and KEYTURN_DATA stands above it', () => {
  const cwd = place('broker: { data: data }\n')
  const cache = join(cwd, 'data', 'cache')
  expect(cacheFolder(['serve', '--config', 'keyturn.yaml'], {}, cwd)).toBe(cache)
  expect(cacheFolder(['serve', `--config=${cwd}`], {}, folder)).toBe(cache)
  expect(cacheFolder(['serve'], { KEYTURN_CONFIG: join(cwd, 'keyturn.yaml') }, folder)).toBe(cache)
  expect(cacheFolder(['serve'], { KEYTURN_DATA: 'elsewhere' }, cwd)).toBe(join(cwd, 'elsewhere', 'cache'))
  expect(cacheFolder(['serve', '--config', 'none.yaml'], {}, cwd)).toBeUndefined()
})
