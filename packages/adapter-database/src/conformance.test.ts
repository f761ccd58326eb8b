import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { capabilityTable, type Fault, runStoreChecks, type StoreHarness, tableDiffers } from '@keyturn/conformance'
import { type OpenContext, SecretValue, type StoreAdapter, type StorePath } from '@keyturn/core'
import { afterAll, describe, expect, test } from 'vitest'
import { at, intent, keyringOf, options, scratch, withSql } from '../test/scratch.ts'
import { type Client, openClient } from './client.ts'
import { open, openOn } from './store.ts'

const { context: contextIn, remove } = scratch()
afterAll(remove)

const path = at('faults/sealed')

/** One process holds the file: whoever opens it while it is open shares the handle, and the last to close closes it. */
let shared: { readonly opened: Promise<{ readonly client: Client; readonly adapter: StoreAdapter }>; holders: number } | undefined
async function openShared(): Promise<StoreAdapter> {
  shared ??= { opened: openWhole(contextIn('shared')), holders: 0 }
  const mine = shared
  mine.holders += 1
  const { adapter } = await mine.opened
  let held = true
  return {
    ...adapter,
    async close() {
      if (!held) return adapter.close()
      held = false
      mine.holders -= 1
      if (mine.holders > 0) return
      shared = undefined
      await adapter.close()
    },
  }
}

async function openWhole(context: OpenContext): Promise<{ readonly client: Client; readonly adapter: StoreAdapter }> {
  const client = await openClient(options, context)
  return { client, adapter: await openOn(client, context, keyringOf()) }
}

/** Many writes without waiting for the disk. */
async function fill(paths: readonly StorePath[]): Promise<void> {
  const { client, adapter } = (await shared?.opened) ?? (await openWhole(contextIn('shared')))
  await client.sql.rows('pragma synchronous = off')
  for (const path of paths) await adapter.write(path, SecretValue.text('filled'), intent())
  await client.sql.rows('pragma synchronous = full')
}

/** A store of its own with one sealed value at `path`, closed again. */
async function sealedStore(sql = ''): Promise<OpenContext> {
  const context = contextIn()
  const adapter = await open(options, context, { keyring: keyringOf() })
  await adapter.write(path, SecretValue.text('sealed'), intent())
  await adapter.close()
  withSql(context, database => database.exec(sql))
  return context
}

/** The store of a connection with a limit set by SQLite itself, after the limit is reached. */
async function limitedStore(pragma: string): Promise<StoreAdapter> {
  const context = await sealedStore()
  const { client, adapter } = await openWhole(context)
  const write = () => adapter.write(path, SecretValue.text('filler'), intent())
  // the first write reserves wraps; the limit must meet the versions
  await write()
  await client.sql.rows(pragma)
  const refused = () =>
    write().then(
      () => false,
      () => true,
    )
  // what pages are there can still be filled
  while (!(await refused()));
  return adapter
}

const faults: readonly Fault[] = [
  {
    title: 'the KEK that closed the value is not loaded',
    code: 'unavailable',
    path,
    open: async () => open(options, await sealedStore(), { keyring: keyringOf('k2') }),
  },
  {
    title: 'the sealed value was changed in the file',
    code: 'corrupt',
    path,
    open: async () => {
      const sql = 'drop trigger payloads_only_go; update versions set payload = zeroblob(length(payload))'
      return open(options, await sealedStore(sql), { keyring: keyringOf() })
    },
  },
  {
    title: 'the sealed value was moved to another secret',
    code: 'corrupt',
    path,
    open: async () => {
      const sql = "drop trigger secrets_do_not_change; update secrets set id = 'sec_00000000000000000000000000'"
      return open(options, await sealedStore(sql), { keyring: keyringOf() })
    },
  },
  { title: 'the disk is full', code: 'unavailable', operation: 'write', path, open: () => limitedStore('pragma max_page_count = 1') },
  {
    title: 'nothing may be written',
    code: 'permission_denied',
    operation: 'write',
    path,
    open: () => limitedStore('pragma query_only = on'),
  },
  ...(['read', 'write', 'list'] as const).map(
    (operation): Fault => ({
      title: `the file was closed before a ${operation}`,
      code: 'unavailable',
      operation,
      open: async () => {
        const adapter = await open(options, await sealedStore(), { keyring: keyringOf() })
        await adapter.close()
        return adapter
      },
    }),
  ),
]

const harness: StoreHarness = {
  name: 'adapter-database',
  capabilities: ['cas', 'idempotent', 'stages', 'versions', 'disable', 'enable', 'destroy', 'delete', 'restore'],
  forms: ['text', 'fields'],
  prefix: 'fresh/',
  freshPath: () => at(`fresh/${randomUUID()}`),
  open: openShared,
  fill,
  faults,
}

describe('conformance', () => {
  const run = runStoreChecks(harness, { test })
  test('the README shows what the run showed', async () => {
    const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
    expect(tableDiffers(readme, capabilityTable(run))).toBeUndefined()
  })
})
