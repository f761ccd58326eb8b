import { appendFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { capabilityTable, runStoreChecks, type StoreHarness, slowMs, tableDiffers, testContext } from '@keyturn/conformance'
import type { OpenContext, StorePath } from '@keyturn/core'
import { afterAll, describe, expect, test } from 'vitest'
import { type Files, systemFiles } from './files.ts'
import { open } from './index.ts'
import { DotenvStore } from './store.ts'

const folder = await mkdtemp(join(tmpdir(), 'keyturn-dotenv-'))
const file = join(folder, '.env')
const context: OpenContext = testContext('dotenv', { data: folder })
let paths = 0

async function broken(name: string, content: string | Uint8Array, mode = 0o600): Promise<DotenvStore> {
  const file = join(folder, name)
  await rm(file, { force: true })
  await writeFile(file, content, { mode })
  return openAt(file)
}

function openAt(file: string, files: Files = systemFiles): DotenvStore {
  return new DotenvStore({ file, names: 'same' }, context, files)
}

const harness: StoreHarness = {
  name: 'adapter-dotenv',
  capabilities: ['cas', 'delete'],
  forms: ['text'],
  prefix: 'FRESH_',
  freshPath() {
    paths += 1
    return `FRESH_${paths}` as StorePath
  },
  open: async () => open({ file, names: 'same' }, context),
  behind: (path, text) => appendFile(file, `${path}='${text}'\n`),
  fill: all => appendFile(file, all.map(path => `${path}=filled\n`).join('')),
  slow: async () =>
    openAt(file, {
      ...systemFiles,
      async syncFolder(path) {
        await new Promise(resolve => setTimeout(resolve, slowMs * 3))
        await systemFiles.syncFolder(path)
      },
    }),
  faults: [
    { title: 'the folder is gone', code: 'unavailable', open: async () => openAt(join(folder, 'gone', '.env')) },
    {
      title: 'the folder is gone, writing',
      code: 'unavailable',
      operation: 'write',
      open: async () => openAt(join(folder, 'gone', '.env')),
    },
    {
      title: 'the folder is gone, listing',
      code: 'unavailable',
      operation: 'list',
      open: async () => openAt(join(folder, 'gone', '.env')),
    },
    { title: 'reading is denied', code: 'permission_denied', open: async () => openAt(file, denied('read')) },
    { title: 'looking is denied', code: 'permission_denied', operation: 'list', open: async () => openAt(file, denied('resolve')) },
    {
      title: 'making files in the folder is denied',
      code: 'permission_denied',
      operation: 'write',
      open: async () => openAt(file, denied('create')),
    },
    { title: 'the file is read-only', code: 'permission_denied', operation: 'write', open: () => broken('read-only.env', 'A=1\n', 0o444) },
    { title: 'the disk is full', code: 'unavailable', operation: 'write', open: async () => openAt(file, failing('sync', 'ENOSPC')) },
    {
      title: 'the folder cannot be synced',
      code: 'outcome_unknown',
      operation: 'write',
      open: async () => openAt(file, failing('syncFolder', 'EIO')),
    },
    {
      title: 'the file is a folder',
      code: 'invalid_argument',
      open: () => mkdir(join(folder, 'dir.env'), { recursive: true }).then(() => openAt(join(folder, 'dir.env'))),
    },
    { title: 'the file is not UTF-8', code: 'corrupt', open: () => broken('latin1.env', Buffer.from('A=caf\xe9\n', 'latin1')) },
    { title: 'the file is huge', code: 'too_large', open: () => broken('huge.env', '#'.repeat(2_000_000)) },
  ],
}

/** Root is denied nothing, so the denial comes from the port, as the system words it. */
function denied(step: 'read' | 'resolve' | 'create'): Files {
  return failing(step, 'EACCES')
}

function failing(step: keyof Files, code: string): Files {
  return { ...systemFiles, [step]: () => Promise.reject(Object.assign(new Error(`${code}: no`), { code })) }
}

afterAll(() => rm(folder, { recursive: true, force: true }))

describe('conformance', () => {
  const run = runStoreChecks(harness, { test })

  test('the README shows what the run showed', async () => {
    const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
    expect(tableDiffers(readme, capabilityTable(run))).toBeUndefined()
  })
})
