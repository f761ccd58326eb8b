import { describe, expect, test } from 'vitest'
import { options, paths } from './options.ts'

const read = (text: string) => async () => Buffer.from(text)

describe('the section', () => {
  test('needs a file and names variables as they are', () => {
    expect(options.parse({ file: '/app/.env' })).toEqual({ file: '/app/.env', names: 'same' })
    expect(options.safeParse({}).success).toBe(false)
    expect(options.safeParse({ file: '/app/.env', names: 'camel' }).success).toBe(false)
  })
})

describe('a section without a list', () => {
  const file = '# settings\nDATABASE_URL=x\nexport API_KEY=y\nAPI_KEY=z\n'

  test('serves every variable, once', async () => {
    expect(await paths({ file: '/app/.env', names: 'same' }, read(file))).toEqual(['DATABASE_URL', 'API_KEY'])
  })

  test('reads the file that it names', async () => {
    const seen: string[] = []
    await paths({ file: '/app/.env', names: 'same' }, path => {
      seen.push(path)
      return Buffer.from('')
    })
    expect(seen).toEqual(['/app/.env'])
  })

  test('refuses two variables with one name', async () => {
    const both = read('TEST_SECRET=a\ntest-secret=b\n')
    await expect(paths({ file: '/app/.env', names: 'kebab' }, both)).rejects.toThrow('test-secret is the name of TEST_SECRET')
    expect(await paths({ file: '/app/.env', names: 'same' }, both)).toEqual(['TEST_SECRET', 'test-secret'])
  })

  test('refuses a file that is not UTF-8', async () => {
    await expect(paths({ file: '/app/.env', names: 'same' }, async () => Uint8Array.of(0xff))).rejects.toThrow('/app/.env is not UTF-8')
  })
})
