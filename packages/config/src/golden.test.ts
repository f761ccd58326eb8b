import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { complaintsOf } from '../test/files.ts'
import { parseGolden } from '../test/golden.ts'

const folder = join(import.meta.dirname, '../test/golden')

describe('what is said about', () => {
  test.each(readdirSync(folder))('%s', async file => {
    const { files, env, says } = parseGolden(readFileSync(join(folder, file), 'utf8'))
    const complaints = await complaintsOf(files, { env })
    expect(complaints.map(line => `${line}\n`).join('')).toBe(says)
  })
})
