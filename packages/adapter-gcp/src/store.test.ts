import { failure } from '@keyturn/conformance'
import { SecretValue, type VersionId } from '@keyturn/core'
import { describe, expect, test } from 'vitest'
import { at, intent, isText, parent, Scene } from './scene.fixture.ts'

const scene = new Scene()

describe('a read', () => {
  test('costs one call once the age of the version is known', async () => {
    scene.put('app', 'the value')
    const store = await scene.store()
    for (let count = 0; count < 4; count += 1) await store.read(at('app'))
    const read = 'AccessSecretVersion'
    expect(scene.methods()).toEqual([read, 'GetSecretVersion', read, read, read])
  })

  test('needs the right to values alone; the age is the time of the answer then', async () => {
    scene.put('app', 'the value')
    scene.fake.anonymous = { may: permission => permission === 'secretmanager.versions.access' }
    const before = Date.now()
    const { value, createdAt, version } = await (await scene.store()).read(at('app'))
    expect([isText(value, 'the value'), version, createdAt.getTime() >= before]).toEqual([true, '1', true])
    scene.put('app', 'another value')
    const store = await scene.store()
    expect((await store.read(at('app'), { version: '1' as VersionId })).state).toBe('previous')
    expect((await store.read(at('app'), { version: '2' as VersionId })).state).toBe('current')
  })

  test('without the right to a version’s time asks for it once, not at each read', async () => {
    scene.put('app', 'the value')
    scene.fake.anonymous = { may: permission => permission === 'secretmanager.versions.access' }
    const store = await scene.store()
    for (let count = 0; count < 3; count += 1) await store.read(at('app'))
    expect(scene.methods()).toEqual(['AccessSecretVersion', 'GetSecretVersion', 'AccessSecretVersion', 'AccessSecretVersion'])
  })

  test('never goes back behind what was written or read, when the service is behind', async () => {
    const store = await scene.store()
    await store.write(at('app'), SecretValue.text('first'), intent())
    const second = await store.write(at('app'), SecretValue.text('second'), intent())
    scene.fake.secrets(parent).latestIsBehind = 1
    const read = await store.read(at('app'))
    expect([isText(read.value, 'second'), read.version, read.state]).toEqual([true, second.version, 'current'])
    expect((await store.read(at('app'), { version: '1' as VersionId })).state).toBe('previous')
    expect((await failure(store.disable(at('app'), second.version))).code).toBe('precondition_failed')
  })

  test('of a secret that was deleted and made anew elsewhere tells the new value and its time', async () => {
    const store = await scene.store()
    for (const text of ['first', 'second', 'third']) await store.write(at('app'), SecretValue.text(text), intent())
    scene.fake.secrets(parent).delete('app', '')
    await new Promise(resolve => setTimeout(resolve, 5))
    const remade = Date.now()
    scene.put('app', 'anew')
    const read = await store.read(at('app'))
    expect([isText(read.value, 'anew'), read.version, read.createdAt.getTime() >= remade]).toEqual([true, '1', true])
  })

  test('of a newest version that is disabled or destroyed says so, and takes no older one', async () => {
    scene.put('app', 'first')
    scene.put('app', 'second')
    const secrets = scene.fake.secrets(parent)
    secrets.change('app', '2', '', 'DISABLED')
    const store = await scene.store()
    expect(await failure(store.read(at('app')))).toMatchObject({ code: 'precondition_failed', hint: expect.stringContaining('enable') })
    expect((await failure(store.disable(at('app'), '2' as VersionId))).code).toBe('precondition_failed')
    secrets.change('app', '2', '', 'DESTROYED')
    expect(await failure(store.read(at('app')))).toMatchObject({
      code: 'not_found',
      detail: expect.objectContaining({ reason: 'destroyed' }),
    })
    const states = []
    for await (const { version, state } of store.versions(at('app'))) states.push([version, state])
    expect(states).toEqual([
      ['2', 'destroyed'],
      ['1', 'previous'],
    ])
    await store.write(at('app'), SecretValue.text('third'), intent())
    expect(isText((await store.read(at('app'))).value, 'third')).toBe(true)
  })

  test('of a secret without a version is absent', async () => {
    scene.fake.secrets(parent).create('empty', { automatic: {} })
    expect((await failure((await scene.store()).read(at('empty')))).code).toBe('not_found')
  })

  test.each(['latest', '0', '01', '-1', '1.0', '1e3', 'current', '../2', '9999999999999999'])(
    'of version %s is absent, and asks nobody',
    async version => {
      scene.put('app', 'x')
      expect((await failure((await scene.store()).read(at('app'), { version: version as VersionId }))).code).toBe('not_found')
      expect(scene.fake.seen).toEqual([])
    },
  )

  test.each([
    [
      'another version than the one asked for',
      (answer: Record<string, unknown>) => ({ ...answer, name: 'projects/4711/secrets/app/versions/2' }),
    ],
    ['no number', (answer: Record<string, unknown>) => ({ ...answer, name: 'projects/4711/secrets/app/versions/latest' })],
    ['no payload', ({ name }: Record<string, unknown>) => ({ name })],
    ['altered bytes', (answer: Record<string, unknown>) => ({ ...answer, payload: { data: Buffer.from('y'), dataCrc32c: '1' } })],
  ])('that is answered with %s is corrupt', async (_title, answer) => {
    scene.put('app', 'x')
    scene.fake.turn(/Access/, { do: 'alter', answer })
    expect((await failure((await scene.store()).read(at('app'), { version: '1' as VersionId }))).code).toBe('corrupt')
  })

  test('takes an answer without a checksum', async () => {
    scene.put('app', 'x')
    scene.fake.turn(/Access/, { do: 'alter', answer: ({ name }) => ({ name, payload: { data: Buffer.from('x') } }) })
    expect(isText((await (await scene.store()).read(at('app'))).value, 'x')).toBe(true)
  })
})

describe('a write', () => {
  test('adds a version with its checksum, and makes the secret only where it is absent', async () => {
    const store = await scene.store()
    await store.write(at('app'), SecretValue.text('first'), intent())
    await store.write(at('app'), SecretValue.text('second'), intent())
    expect(scene.methods()).toEqual(['AddSecretVersion', 'CreateSecret', 'AddSecretVersion', 'AddSecretVersion'])
    expect(scene.fake.secrets(parent).replicationOf('app')).toMatchObject({ automatic: {} })
  })

  test('makes a secret where the section says', async () => {
    await (await scene.store({ replication: { locations: ['europe-west1', 'europe-west4'] } })).write(
      at('app'),
      SecretValue.text('x'),
      intent(),
    )
    expect(scene.fake.secrets(parent).replicationOf('app')).toMatchObject({
      userManaged: { replicas: [{ location: 'europe-west1' }, { location: 'europe-west4' }] },
    })
  })

  test('goes on when another made the secret in the same moment', async () => {
    const store = await scene.store()
    scene.fake.turn(/CreateSecret/, { do: 'status', code: 6, details: 'Secret already exists.' }, 1)
    scene.fake.turn(/AddSecretVersion/, { do: 'status', code: 5, details: 'Secret not found.' }, 1)
    scene.fake.secrets(parent).create('app', { automatic: {} })
    expect((await store.write(at('app'), SecretValue.text('x'), intent())).version).toBe('1')
  })

  test('of ten at once to an absent secret makes ten versions', async () => {
    const store = await scene.store()
    const made = await Promise.all(
      Array.from({ length: 10 }, (_, index) => store.write(at('app'), SecretValue.text(`v${index}`), intent())),
    )
    expect(new Set(made.map(({ version }) => version)).size).toBe(10)
  })

  test('that was cut while the secret was made may be sent again: nothing was written', async () => {
    const store = await scene.store()
    scene.fake.turn(/CreateSecret/, { do: 'cut' }, 1)
    expect((await failure(store.write(at('app'), SecretValue.text('x'), intent()))).code).toBe('unavailable')
    await expect.poll(() => store.write(at('app'), SecretValue.text('x'), intent()).catch(() => undefined)).toMatchObject({ version: '1' })
  })

  test('whose reply was lost made one version, which a look finds', async () => {
    const store = await scene.store()
    await store.write(at('app'), SecretValue.text('first'), intent())
    scene.fake.turn(/AddSecretVersion/, { do: 'cut' }, 1)
    expect((await failure(store.write(at('app'), SecretValue.text('second'), intent()))).code).toBe('outcome_unknown')
    await expect.poll(async () => isText((await store.read(at('app'))).value, 'second')).toBe(true)
    expect((await store.read(at('app'))).version).toBe('2')
    expect(scene.methods().filter(method => method === 'AddSecretVersion')).toHaveLength(3)
  })

  test('to a project that is not there is a wrong config', async () => {
    scene.fake.turn(/AddSecretVersion|CreateSecret/, { do: 'status', code: 5, details: 'Project not found.' })
    expect((await failure((await scene.store()).write(at('app'), SecretValue.text('x'), intent()))).code).toBe('invalid_argument')
  })

  test.each([
    ['empty', SecretValue.text('')],
    ['too large', SecretValue.bytes(Buffer.alloc(65_537))],
    ['a set of fields', SecretValue.fields({ a: 'b' })],
  ])('that is %s asks nobody', async (_title, value) => {
    expect((await failure((await scene.store()).write(at('app'), value, intent()))).code).toBe('invalid_argument')
    expect(scene.fake.seen).toEqual([])
  })

  test('with a condition is refused: the service compares nothing when a version is added', async () => {
    expect((await failure((await scene.store()).write(at('app'), SecretValue.text('x'), { ...intent(), ifMatch: null }))).code).toBe(
      'unsupported',
    )
    expect(scene.fake.seen).toEqual([])
  })
})

describe('a version', () => {
  test('is changed by its etag, so that a change by somebody else in between is a conflict', async () => {
    scene.put('app', 'first')
    scene.put('app', 'second')
    const store = await scene.store()
    scene.fake.turn(
      /DisableSecretVersion/,
      { do: 'status', code: 9, details: 'The etag provided does not match the current etag of the resource.' },
      1,
    )
    scene.fake.turn(/GetSecretVersion/, { do: 'alter', answer: answer => ({ ...answer, etag: '"stale"' }) }, 1)
    expect((await failure(store.disable(at('app'), '1' as VersionId))).code).toBe('conflict')
    expect(scene.fake.seen.find(({ method }) => method === 'DisableSecretVersion')?.request.etag).toBe('"stale"')
  })

  test('that two disable at once is disabled for both', async () => {
    scene.put('app', 'first')
    scene.put('app', 'second')
    const [one, other] = [await scene.store(), await scene.store()]
    await Promise.all([one.disable(at('app'), '1' as VersionId), other.disable(at('app'), '1' as VersionId)])
    expect((await failure(one.read(at('app'), { version: '1' as VersionId }))).code).toBe('precondition_failed')
  })

  test('whose destruction is delayed is destroyed for us, and not brought back', async () => {
    scene.put('app', 'first')
    scene.put('app', 'second')
    scene.fake.secrets(parent).delayDestruction('app', 86_400_000)
    const store = await scene.store()
    await store.destroy(at('app'), '1' as VersionId)
    await store.destroy(at('app'), '1' as VersionId)
    expect((await failure(store.enable(at('app'), '1' as VersionId))).code).toBe('not_found')
    const states = []
    for await (const { state } of store.versions(at('app'))) states.push(state)
    expect(states).toEqual(['current', 'destroyed'])
    expect(scene.methods().filter(method => method === 'DestroySecretVersion')).toHaveLength(1)
  })

  test('is told by its number, over pages', async () => {
    for (let number = 1; number <= 12; number += 1) scene.put('app', `v${number}`)
    const parts = scene.fake.secrets(parent).listVersions('app', 100, '') as { versions: object[] }
    const [newest, ...others] = parts.versions
    // in the order of an emulator, and one twice
    scene.fake.turn(/ListSecretVersions/, { do: 'say', answer: { versions: others.slice(0, 6), nextPageToken: 'x' } }, 1)
    scene.fake.turn(/ListSecretVersions/, { do: 'say', answer: { versions: [...others.slice(5), newest], nextPageToken: '' } }, 1)
    const told = []
    const store = await scene.store()
    for await (const { version } of store.versions(at('app'))) told.push(Number(version))
    expect(told).toEqual([12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1])
  })
})
