import { readFileSync } from 'node:fs'
import { capabilityTable, type Fault, runStoreChecks, type StoreHarness, slowMs, tableDiffers, testContext } from '@keyturn/conformance'
import type { StorePath } from '@keyturn/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { GcpSecretManagerFake, type Knob } from '../../../test/fakes/gcp-secret-manager.ts'
import { open, options } from './index.ts'

const context = testContext('gcp')
const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
const project = 'shop-prod'
const parent = `projects/${project}`

let fake: GcpSecretManagerFake
beforeAll(async () => {
  fake = await GcpSecretManagerFake.start()
})
afterAll(async () => {
  expect(fake.broken).toEqual([])
  await fake.close()
})

const opened = (endpoint: string, more: object = {}) => open(options.parse({ endpoint, project, ...more }), context, { env: {} })

/** A fake of its own with one thing wrong. */
async function broken(more: object, wrong: (own: GcpSecretManagerFake) => void): ReturnType<Fault['open']> {
  const own = await GcpSecretManagerFake.start()
  own.secrets(parent).putAs('current', 'faulty', 'here')
  wrong(own)
  const adapter = await opened(own.endpoint, more)
  return { ...adapter, close: () => adapter.close().finally(() => own.close()) }
}

const faulty = 'faulty' as StorePath
const status = (code: number, details: string, more: object = {}): Knob => ({ do: 'status', code, details, ...more })

/** What goes wrong in a section with these keys. */
function faultsOf(more: object): readonly Fault[] {
  const turned = (fits: RegExp, knob: Knob) => () => broken(more, own => own.turn(fits, knob))
  const denying = (permission: string) => () =>
    broken(more, own => {
      own.anonymous = { may: each => each !== permission }
    })
  return [
    {
      title: 'the token was refused',
      code: 'unauthenticated',
      path: faulty,
      open: turned(/./, status(16, 'Request had invalid authentication credentials.')),
    },
    { title: 'reading is denied', code: 'permission_denied', path: faulty, open: denying('secretmanager.versions.access') },
    {
      title: 'writing is denied',
      code: 'permission_denied',
      operation: 'write',
      path: faulty,
      open: denying('secretmanager.versions.add'),
    },
    { title: 'making a secret is denied', code: 'permission_denied', operation: 'write', open: denying('secretmanager.secrets.create') },
    {
      title: 'listing is denied',
      code: 'permission_denied',
      operation: 'list',
      path: 'absent' as StorePath,
      open: denying('secretmanager.secrets.list'),
    },
    {
      title: 'the quota is used up',
      code: 'throttled',
      path: faulty,
      open: turned(/./, status(8, 'Quota exceeded for quota metric', { retryMs: 2_000 })),
    },
    {
      title: 'the service is unavailable',
      code: 'unavailable',
      path: faulty,
      open: turned(/./, status(14, 'The service is currently unavailable.')),
    },
    {
      title: 'the service is unavailable, and may have written',
      code: 'outcome_unknown',
      operation: 'write',
      path: faulty,
      open: turned(/AddSecretVersion/, status(14, 'The service is currently unavailable.')),
    },
    { title: 'the connection was cut while reading', code: 'unavailable', path: faulty, open: turned(/./, { do: 'drop' }) },
    {
      title: 'the connection was cut after a write',
      code: 'outcome_unknown',
      operation: 'write',
      path: faulty,
      open: turned(/AddSecretVersion/, { do: 'cut' }),
    },
    {
      title: 'the connection was cut while the secret was made, and no value went out',
      code: 'unavailable',
      operation: 'write',
      open: turned(/CreateSecret/, { do: 'cut' }),
    },
    {
      title: 'the deadline of the service passed',
      code: 'outcome_unknown',
      operation: 'write',
      path: faulty,
      open: turned(/Add/, status(4, 'Deadline exceeded')),
    },
    {
      title: 'the bytes do not have their checksum',
      code: 'corrupt',
      path: faulty,
      open: turned(/Get|Access/, {
        do: 'alter',
        answer: answer => ({ ...answer, payload: { data: Buffer.from('other'), dataCrc32c: '1' }, createTime: null }),
      }),
    },
    { title: 'nobody listens', code: 'unavailable', operation: 'write', path: faulty, open: () => opened('127.0.0.1:1', more) },
  ]
}

let paths = 0

/** `alias`: the current version is what it names; left out: the newest. */
function harnessOf(alias: string | undefined): StoreHarness {
  const more = alias === undefined ? {} : { alias }
  const put = (path: string, text: string) => {
    const id = path.replace('/', '---')
    if (alias === undefined) fake.secrets(parent).put(id, text)
    else fake.secrets(parent).putAs(alias, id, text)
  }
  return {
    name: 'adapter-gcp',
    capabilities: [
      'versions',
      'disable',
      'enable',
      'destroy',
      'delete',
      ...(alias === undefined ? [] : (['cas', 'idempotent', 'stages'] as const)),
    ],
    forms: ['text'],
    prefix: 'fresh/',
    open: () => opened(fake.endpoint, more),
    freshPath() {
      paths += 1
      return `fresh/${paths}` as StorePath
    },
    faults: alias === undefined ? faultsOf({}) : faultsOf({ alias }),
    async behind(path, text) {
      put(path, text)
    },
    async fill(all) {
      for (const path of all) put(path, 'filled')
    },
    async slow() {
      const own = await GcpSecretManagerFake.start()
      own.turn(/AddSecretVersion/, { do: 'slow', ms: slowMs * 4 })
      const adapter = await opened(own.endpoint, more)
      return { ...adapter, close: () => adapter.close().finally(() => own.close()) }
    },
  }
}

describe('adapter-gcp, the newest version current', () => {
  const run = runStoreChecks(harnessOf(undefined), { test })
  test('shows in its README what the run showed', () => {
    expect(tableDiffers(readme, capabilityTable(run), 'Without `alias`')).toBeUndefined()
  })
})

describe('adapter-gcp, current by an alias', () => {
  const run = runStoreChecks(harnessOf('current'), { test })
  test('shows in its README what the run showed', () => {
    expect(tableDiffers(readme, capabilityTable(run), 'With `alias`')).toBeUndefined()
  })
})
