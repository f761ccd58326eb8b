import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

interface Entry {
  readonly resolved?: string
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

const lock: { readonly packages: Readonly<Record<string, Entry>> } = JSON.parse(
  readFileSync(join(import.meta.dirname, '../package-lock.json'), 'utf8'),
)

test('the lockfile names no registry', () => {
  const named = Object.entries(lock.packages).filter(([, { resolved = '' }]) => resolved.startsWith('http'))
  expect(named).toEqual([])
})

// npm leaves out what its registry did not have when the file was made, and `npm ci` then refuses the whole file elsewhere
test('the lockfile has every platform of every package', () => {
  const missing = Object.entries(lock.packages).flatMap(([at, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).filter(
      name => lock.packages[`node_modules/${name}`] === undefined && lock.packages[`${at}/node_modules/${name}`] === undefined,
    ),
  )
  expect(missing).toEqual([])
})
