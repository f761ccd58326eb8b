import { open, options } from '@keyturn/adapter-aws'
import { testContext, wallClock } from '@keyturn/conformance'
import { SecretValue, Store, type StoreAdapter, type StorePath } from '@keyturn/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { AwsEmulator } from '../servers/aws-emulator.ts'
import { type Boto3, findBoto3, openBoto3 } from '../servers/boto3.ts'
import { findMoto, motoName, startMoto } from '../servers/moto.ts'
import { tally, tell } from './tell.ts'

/** An independent reader: what Keyturn writes, AWS's own client of another language reads, and the other way round. */
const moto = await findMoto()
const python = await findBoto3()
const isThere = moto !== undefined && python !== undefined
const context = testContext('live')
const auth = { method: 'static', accessKeyId: 'AKIALIVETESTS0000000', secretAccessKey: 'live-tests' }
const at = (path: string) => path as StorePath
const intent = () => ({ idempotencyKey: crypto.randomUUID() })
const text = (value: string) => SecretValue.text(value)

describe.runIf(!isThere)('without boto3 and moto', () => {
  test('the row says absent', async () => {
    await tell({ adapter: 'aws', server: 'boto3', passed: 0, failed: 0, absent: 'boto3 or moto is not in the cache folder of servers' })
  })
})

describe.skipIf(!isThere)('adapter-aws and boto3', () => {
  const counted = tally()
  let server: AwsEmulator
  let boto: Boto3
  let adapter: StoreAdapter
  let store: Store
  let ready = false
  beforeAll(async () => {
    // skipped without them
    server = await startMoto(moto ?? '')
    boto = await openBoto3(python ?? '', server.url)
    adapter = await open(options.parse({ region: 'us-east-1', endpoint: server.url, auth }), context, { env: {} })
    store = new Store(adapter, { name: 'aws', clock: wallClock, timeoutMs: 30_000 })
    ready = true
  })
  afterAll(async () => {
    if (!ready) counted.failed += 1
    await tell({ adapter: 'aws', server: `boto3 ${boto?.version ?? ''} (${motoName})`, ...counted })
    await adapter?.close()
    await server?.stop()
  })

  test.each([
    ['one with line ends, NUL and four bytes', 'one\r\ntwo\0 \u{1f511}\ufeff\u2028 '],
    ['one that is JSON', '{"b":12345678901234567890,"a":"<&>"}'],
    ['one at the limit', 'x'.repeat(65_536)],
  ])('what Keyturn writes boto3 reads: %s', async (title, value) => {
    const path = at(`to-boto3/${title.replaceAll(/[^a-z]/g, '-')}`)
    const { version } = await store.write(path, text(value), intent())
    const read = await boto.ask('get_secret_value', { SecretId: path })
    expect([read.VersionId, read.SecretString === value, read.SecretBinary]).toEqual([version, true, undefined])
  })

  test('bytes that are no text go both ways as bytes', async () => {
    const bytes = Buffer.from([0xff, 0xfe, 0x00, 0xc3, 0x28])
    await store.write(at('bytes/to'), SecretValue.bytes(bytes), intent())
    const read = await boto.ask('get_secret_value', { SecretId: 'bytes/to' })
    expect([read.SecretBinary, read.SecretString]).toEqual([{ base64: bytes.toString('base64') }, undefined])
    await boto.ask('create_secret', { Name: 'bytes/from', SecretBinary: { base64: bytes.toString('base64') } })
    expect((await store.read(at('bytes/from'))).value.equals(SecretValue.bytes(bytes))).toBe(true)
  })

  test('what boto3 creates, changes and moves back Keyturn reads', async () => {
    const made = await boto.ask('create_secret', { Name: 'from-boto3', SecretString: 'first\r\n' })
    const first = await store.read(at('from-boto3'))
    expect([first.version, first.value.equals(text('first\r\n'))]).toEqual([made.VersionId, true])
    const put = await boto.ask('put_secret_value', { SecretId: 'from-boto3', SecretString: 'second' })
    const second = await store.read(at('from-boto3'))
    expect([second.version, second.value.equals(text('second'))]).toEqual([put.VersionId, true])
    const move = { SecretId: 'from-boto3', VersionStage: 'AWSCURRENT', MoveToVersionId: made.VersionId, RemoveFromVersionId: put.VersionId }
    await boto.ask('update_secret_version_stage', move)
    expect((await store.read(at('from-boto3'))).version).toBe(made.VersionId)
    expect((await store.read(at(String(made.ARN)))).version).toBe(made.VersionId)
  })

  test('a rotation that Keyturn stages and promotes stands under the labels that boto3 reads by', async () => {
    const path = at('rotated')
    const old = await store.write(path, text('old'), intent())
    const staged = await store.stage(path, text('new'), intent())
    const labelled = async (VersionStage: string) => (await boto.ask('get_secret_value', { SecretId: path, VersionStage })).SecretString
    expect([await labelled('AWSCURRENT'), await labelled('AWSPENDING')]).toEqual(['old', 'new'])
    await store.promote(path, { from: old.version, to: staged.version })
    expect([await labelled('AWSCURRENT'), await labelled('AWSPREVIOUS'), await labelled('AWSPENDING')]).toEqual(['new', 'old', undefined])
    await store.promote(path, { from: staged.version, to: old.version })
    expect([await labelled('AWSCURRENT'), await labelled('AWSPREVIOUS')]).toEqual(['old', 'new'])
  })

  test('a write with an expected version leaves no label of its own behind', async () => {
    const first = await store.write(at('expected'), text('1'), { ...intent(), ifMatch: null })
    const second = await store.write(at('expected'), text('2'), { ...intent(), ifMatch: first.etag })
    await expect(store.write(at('expected'), text('3'), { ...intent(), ifMatch: first.etag })).rejects.toMatchObject({ code: 'conflict' })
    const { VersionIdsToStages: stages } = await boto.ask('describe_secret', { SecretId: 'expected' })
    expect(stages).toEqual({ [second.version]: ['AWSCURRENT'], [first.version]: ['AWSPREVIOUS'] })
  })

  test('what Keyturn deletes boto3 finds marked for deletion, and what boto3 restores Keyturn reads', async () => {
    await store.write(at('deleted'), text('kept'), intent())
    await store.delete(at('deleted'), intent())
    expect((await boto.ask('get_secret_value', { SecretId: 'deleted' })).Error).toBe('InvalidRequestException')
    expect((await boto.ask('describe_secret', { SecretId: 'deleted' })).DeletedDate).toBeDefined()
    await boto.ask('restore_secret', { SecretId: 'deleted' })
    expect((await store.read(at('deleted'))).value.equals(text('kept'))).toBe(true)
  })

  test('what Keyturn makes has the tags and the key that the section says', async () => {
    const made = await open(
      options.parse({
        region: 'us-east-1',
        endpoint: server.url,
        auth,
        tags: { team: 'shop' },
        kmsKeyId: 'alias/shop',
        recoveryWindowDays: 7,
      }),
      context,
      { env: {} },
    )
    await made.write(at('tagged'), text('v'), { ...intent(), signal: AbortSignal.timeout(30_000) })
    await made.close()
    const told = await boto.ask('describe_secret', { SecretId: 'tagged' })
    expect([told.Tags, told.KmsKeyId]).toEqual([[{ Key: 'team', Value: 'shop' }], 'alias/shop'])
  })
})
