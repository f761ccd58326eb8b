import { failure } from '@keyturn/conformance'
import { type Etag, SecretValue, type Store, type VersionId } from '@keyturn/core'
import { beforeEach, describe, expect, test } from 'vitest'
import { at, intent, isText, parent, Scene } from './scene.fixture.ts'

const scene = new Scene({ alias: 'current' })
const path = at('app')
let store: Store
beforeEach(async () => {
  store = await scene.store()
})

const secrets = () => scene.fake.secrets(parent)
const text = (value: string) => SecretValue.text(value)
const recordOf = () =>
  secrets().getSecret('app') as { etag: string; versionAliases: Record<string, string>; annotations: Record<string, string> }
const added = () => scene.methods().filter(method => method === 'AddSecretVersion').length
const isNow = async (value: string) => isText((await store.read(path)).value, value)

describe('a conditional write', () => {
  test('holds although somebody adds a plain version in between: that is not current', async () => {
    const first = await store.write(path, text('first'), intent())
    secrets().put('app', 'by gcloud secrets versions add')
    expect(await isNow('first')).toBe(true)
    const second = await store.write(path, text('second'), { ...intent(), ifMatch: first.etag })
    expect([await isNow('second'), second.version, second.state]).toEqual([true, '3', 'current'])
  })

  test('loses to somebody who moves the alias after the look, and changes nothing', async () => {
    const first = await store.write(path, text('first'), intent())
    scene.fake.before(/UpdateSecret/, () => secrets().putAs('current', 'app', 'by another'))
    expect((await failure(store.write(path, text('second'), { ...intent(), ifMatch: first.etag }))).code).toBe('conflict')
    expect(await isNow('by another')).toBe(true)
  })

  test('is done again after a change that is none of the current version', async () => {
    const first = await store.write(path, text('first'), intent())
    const label = () => {
      const { annotations } = recordOf()
      secrets().update('app', { annotations: { ...annotations, owner: 'somebody' } }, ['annotations'])
    }
    scene.fake.before(/UpdateSecret/, label)
    await store.write(path, text('second'), { ...intent(), ifMatch: first.etag })
    expect([await isNow('second'), recordOf().annotations.owner, added()]).toEqual([true, 'somebody', 3])
  })

  test('of a secret that changes all the time ends', async () => {
    await store.write(path, text('first'), intent())
    scene.fake.before(/UpdateSecret/, () => secrets().update('app', { annotations: {} }, ['annotations']), Number.POSITIVE_INFINITY)
    expect((await failure(store.write(path, text('second'), intent()))).code).toBe('conflict')
    expect(await isNow('first')).toBe(true)
  })

  test('that expects nothing takes a secret without the alias, and one that is absent', async () => {
    secrets().put('app', 'not named')
    await store.write(path, text('first'), { ...intent(), ifMatch: null })
    expect(await isNow('first')).toBe(true)
    expect((await failure(store.write(path, text('x'), { ...intent(), ifMatch: null }))).code).toBe('conflict')
    expect((await failure(store.write(at('other'), text('x'), { ...intent(), ifMatch: '1' as Etag }))).code).toBe('conflict')
    expect(secrets().has('other')).toBe(false)
  })
})

describe('an intent', () => {
  test('whose answer was lost after the version was added finds it, and adds no other', async () => {
    await store.write(path, text('first'), intent())
    const once = intent()
    scene.fake.turn(/AddSecretVersion/, { do: 'cut' }, 1)
    expect((await failure(store.write(path, text('second'), once))).code).toBe('outcome_unknown')
    expect(await isNow('first')).toBe(true)
    const made = await store.write(path, text('second'), once)
    expect([made.version, await isNow('second'), added()]).toEqual(['2', true, 3])
  })

  test('whose answer was lost after the alias moved is told the version that it made', async () => {
    const first = await store.write(path, text('first'), intent())
    const once = { ...intent(), ifMatch: first.etag }
    scene.fake.turn(/UpdateSecret/, { do: 'cut' }, 1)
    expect((await failure(store.write(path, text('second'), once))).code).toBe('outcome_unknown')
    expect(await isNow('second')).toBe(true)
    expect([(await store.write(path, text('second'), once)).version, added()]).toEqual(['2', 3])
  })

  test('sent by five at once makes one version current', async () => {
    await store.write(path, text('first'), intent())
    const once = intent()
    const made = await Promise.all(Array.from({ length: 5 }, () => store.write(path, text('second'), once)))
    expect(new Set(made.map(({ version }) => version)).size).toBe(1)
    expect([await isNow('second'), (await store.read(path)).version]).toEqual([true, made[0]?.version])
  })

  test('leaves marks that stay few, and other annotations and aliases alone', async () => {
    secrets().put('app', 'zeroth')
    secrets().update('app', { annotations: { owner: 'somebody' }, versionAliases: { stable: '1' } }, ['annotations', 'version_aliases'])
    const first = intent()
    await store.write(path, text('the first'), first)
    for (let index = 0; index < 70; index += 1) await store.write(path, text(`v${index}`), intent())
    const { annotations, versionAliases } = recordOf()
    expect(Object.keys(annotations).filter(key => key.startsWith('keyturn-'))).toHaveLength(64)
    expect([annotations.owner, versionAliases]).toEqual(['somebody', { stable: '1', current: '72' }])
    expect(annotations).not.toHaveProperty(`keyturn-${first.idempotencyKey}`)
  })

  test('with the key of another value is a conflict, also after that version is gone', async () => {
    const once = intent()
    await store.write(path, text('first'), once)
    await store.write(path, text('second'), intent())
    expect((await failure(store.write(path, text('other'), once))).code).toBe('conflict')
    await store.destroy(path, '1' as VersionId)
    expect((await failure(store.write(path, text('first'), once))).code).toBe('conflict')
    expect(await isNow('second')).toBe(true)
  })
})

describe('a secret', () => {
  test('without the alias is absent, and what to do is said', async () => {
    secrets().put('app', 'not named')
    expect(await failure(store.read(path))).toMatchObject({
      code: 'not_found',
      hint: expect.stringContaining('--update-version-aliases=current='),
    })
    expect((await store.examine(path)).find(({ ok }) => !ok)?.code).toBe('not_found')
  })

  test('that was named elsewhere is served, and its moves back too', async () => {
    secrets().putAs('current', 'app', 'first')
    secrets().putAs('current', 'app', 'second')
    expect(await isNow('second')).toBe(true)
    secrets().update('app', { versionAliases: { current: '1' } }, ['version_aliases'])
    expect([await isNow('first'), (await store.read(path, { version: '2' as VersionId })).state]).toEqual([true, 'pending'])
  })

  test('whose first version is staged is absent until it is promoted', async () => {
    const staged = await store.stage(path, text('first'), intent())
    expect([staged.state, (await failure(store.read(path))).code]).toEqual(['pending', 'not_found'])
    expect((await Array.fromAsync(store.versions(path))).map(({ state }) => state)).toEqual(['pending'])
    await store.promote(path, { from: null, to: staged.version })
    expect(await isNow('first')).toBe(true)
  })

  test('tells what came before the current version, over those that were never current', async () => {
    const first = await store.write(path, text('first'), intent())
    secrets().put('app', 'a stray')
    await store.disable(path, '2' as VersionId)
    const third = await store.write(path, text('third'), intent())
    await store.stage(path, text('fourth'), intent())
    const told = await Array.fromAsync(store.versions(path))
    expect(told.map(({ version, state }) => [version, state])).toEqual([
      ['4', 'pending'],
      [third.version, 'current'],
      ['2', 'disabled'],
      [first.version, 'previous'],
    ])
    await store.promote(path, { from: third.version, to: first.version })
    expect(await isNow('first')).toBe(true)
  })

  test('does not get a version that is disabled, destroyed or not there', async () => {
    const first = await store.write(path, text('first'), intent())
    const staged = await store.stage(path, text('second'), intent())
    await store.disable(path, staged.version)
    expect((await failure(store.promote(path, { from: first.version, to: staged.version }))).code).toBe('precondition_failed')
    expect((await failure(store.promote(path, { from: first.version, to: '9' as VersionId }))).code).toBe('not_found')
    expect((await failure(store.disable(path, first.version))).code).toBe('precondition_failed')
    expect(await isNow('first')).toBe(true)
  })

  test('is deleted only as it was expected, by its etag', async () => {
    const first = await store.write(path, text('first'), intent())
    scene.fake.before(/DeleteSecret/, () => secrets().putAs('current', 'app', 'by another'))
    expect((await failure(store.delete(path, { ...intent(), ifMatch: first.etag }))).code).toBe('conflict')
    const now = await store.read(path)
    await store.delete(path, { ...intent(), ifMatch: now.etag })
    expect((await failure(store.read(path))).code).toBe('not_found')
  })

  test('of a server without etags is refused', async () => {
    secrets().put('app', 'x')
    scene.fake.turn(/GetSecret$/, { do: 'alter', answer: answer => ({ ...answer, etag: '' }) })
    expect((await failure(store.write(path, text('y'), intent()))).code).toBe('unsupported')
    expect(added()).toBe(0)
  })

  test('is read by its alias in one call once the age of the version is known', async () => {
    secrets().putAs('current', 'app', 'x')
    await store.read(path)
    scene.fake.seen.length = 0
    await store.read(path)
    expect(scene.fake.seen.map(({ method, name }) => [method, name])).toEqual([
      ['AccessSecretVersion', `${parent}/secrets/app/versions/current`],
    ])
  })
})
