import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { LocalSecrets } from './local.ts'

const folder = mkdtempSync(join(tmpdir(), 'keyturn-local-'))
afterAll(() => rmSync(folder, { recursive: true }))

let files = 0

function local(text?: string, env: Record<string, string> = {}) {
  files += 1
  const file = join(folder, `${files}.env`)
  if (text !== undefined) writeFileSync(file, text)
  return { file, secrets: new LocalSecrets({ file, env }) }
}

it('reads a variable by either of its names', async () => {
  const { secrets } = local('TEST_SECRET=one\nDATABASE_URL="postgres://u:p@db/app"\n')
  expect(await secrets.getSecret('TEST_SECRET')).toBe('one')
  expect(await secrets.getSecret('test-secret')).toBe('one')
  expect(await secrets.getSecret('database-url')).toBe('postgres://u:p@db/app')
  await expect(secrets.getSecret('other')).rejects.toMatchObject({ code: 'not_found' })
  await expect(secrets.getSecret('test-secret', { field: 'x' })).rejects.toMatchObject({ code: 'not_found' })
})

it('lets the environment win over the file, and never changes what it sets', async () => {
  const { file, secrets } = local('TEST_SECRET=file\n', { TEST_SECRET: 'environment' })
  expect(await secrets.getSecret('test-secret')).toBe('environment')
  await expect(secrets.rotateSecret('test-secret')).rejects.toMatchObject({ code: 'conflict' })
  expect(readFileSync(file, 'utf8')).toBe('TEST_SECRET=file\n')
})

it('refuses a file in which one secret is two variables', async () => {
  const { secrets } = local('TEST_SECRET=a\ntest-secret=b\n')
  await expect(secrets.getSecret('test-secret')).rejects.toMatchObject({ code: 'invalid_argument' })
})

it('knows the types that a broker knows', async () => {
  const { secrets } = local()
  // as a program in plain JavaScript may ask
  const type = 'databse' as never
  await expect(secrets.createSecret({ name: 'made', type, value: 'v' })).rejects.toMatchObject({ code: 'invalid_argument' })
  await expect(secrets.getSecret('made')).rejects.toMatchObject({ code: 'not_found' })
})

it('makes a secret once, in a file that need not exist', async () => {
  const { file, secrets } = local()
  await secrets.createSecret({ name: 'database-password', type: 'database', value: 's p a c e' })
  expect(await secrets.getSecret('database-password')).toBe('s p a c e')
  expect(readFileSync(file, 'utf8')).toContain('DATABASE_PASSWORD=')
  const again = secrets.createSecret({ name: 'database-password', type: 'database', value: 'x' })
  await expect(again).rejects.toMatchObject({ code: 'conflict' })
  const fields = secrets.createSecret({ name: 'two', type: 'database', fields: { a: '1' } })
  await expect(fields).rejects.toMatchObject({ code: 'invalid_argument' })
})

it('rotates: a new value, the one before still at hand, the neighbours as they were', async () => {
  const { file, secrets } = local('# kept\nA=1\nTEST_SECRET=one\nB=2\n')
  const version = await secrets.rotateSecret('test-secret')
  const value = await secrets.getSecret('test-secret')
  expect(value).toMatch(/^[\w-]{43}$/)
  expect(version).toMatch(/^[0-9a-f]{16}$/)
  expect(await secrets.getSecret('test-secret', { stage: 'previous' })).toBe('one')
  expect(readFileSync(file, 'utf8')).toBe(`# kept\nA=1\nTEST_SECRET=${value}\nB=2\n`)
  await expect(secrets.getSecret('a', { stage: 'previous' })).rejects.toMatchObject({ code: 'not_found' })
})
