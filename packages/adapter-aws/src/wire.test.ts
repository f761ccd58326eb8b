import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { inspect } from 'node:util'
import { failure, testContext, wallClock } from '@keyturn/conformance'
import { SecretValue, Store, type StoreAdapter, type StorePath } from '@keyturn/core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { AwsSecretsManagerFake, type FakeSettings } from '../../../test/fakes/aws-secrets-manager.ts'
import { testCertificates } from '../../../test/fakes/tls/certificates.ts'
import { open, options } from './index.ts'

const path = 'app' as StorePath
const context = testContext('aws')
const intent = () => ({ idempotencyKey: crypto.randomUUID() })
const tls = { key: testCertificates.server.key, cert: testCertificates.server.cert }

let fakes: AwsSecretsManagerFake[]
let opened: StoreAdapter[]
beforeEach(() => {
  fakes = []
  opened = []
})
afterEach(async () => {
  for (const each of opened) await each.close()
  for (const fake of fakes) {
    expect(fake.broken).toEqual([])
    await fake.close()
  }
})

async function started(settings: FakeSettings = {}): Promise<AwsSecretsManagerFake> {
  const fake = await AwsSecretsManagerFake.start(settings)
  fake.secrets.put(path, 'value')
  fakes.push(fake)
  return fake
}

async function storeOf(fake: AwsSecretsManagerFake, more: object = {}, timeoutMs = 10_000): Promise<Store> {
  const { accessKeyId, secretAccessKey } = fake.accounts.add()
  const auth = { method: 'static', accessKeyId, secretAccessKey }
  const adapter = await open(options.parse({ region: fake.region, endpoint: fake.url, auth, ...more }), context, { env: {} })
  opened.push(adapter)
  return new Store(adapter, { name: 'aws', clock: wallClock, timeoutMs })
}

describe('connections', () => {
  test('are kept alive and shared', async () => {
    const fake = await started()
    const store = await storeOf(fake)
    for (let count = 0; count < 20; count += 1) await store.read(path)
    expect(fake.connections).toBe(1)
  })

  test('are at most maxInFlight, and more calls wait their turn', async () => {
    const fake = await started()
    fake.turn(/./, { do: 'slow', ms: 20 })
    const store = await storeOf(fake, { maxInFlight: 3 })
    await Promise.all(Array.from({ length: 20 }, () => store.read(path)))
    expect([fake.inFlight.most, fake.connections]).toEqual([3, 3])
  })

  test('a call that waits its turn ends with its signal, and takes no place with it', async () => {
    const fake = await started()
    fake.turn(/./, { do: 'hang' }, 1)
    const store = await storeOf(fake, { maxInFlight: 1 })
    const [first, second] = [new AbortController(), new AbortController()]
    const hanging = failure(store.read(path, { signal: first.signal }))
    const waiting = failure(store.read(path, { signal: second.signal }))
    const last = store.read(path)
    await expect.poll(() => fake.inFlight.now).toBe(1)
    second.abort()
    expect((await waiting).code).toBe('cancelled')
    first.abort()
    expect((await hanging).code).toBe('cancelled')
    expect((await last).value.equals(SecretValue.text('value'))).toBe(true)
  })

  test('that are not there yet are not made for whoever waits when the store is closed', async () => {
    const fake = await started()
    const store = await storeOf(fake, { maxInFlight: 1 })
    fake.turn(/./, { do: 'hang' })
    const calls = [store.read(path), store.write(path, SecretValue.text('v'), intent())].map(failure)
    await expect.poll(() => fake.inFlight.now).toBe(1)
    await store.close()
    expect((await Promise.all(calls)).map(({ code }) => code)).toEqual(['unavailable', 'cancelled'])
    expect(fake.connections).toBe(1)
  })

  test('are closed with the store', async () => {
    const fake = await started()
    const store = await storeOf(fake)
    await store.read(path)
    await store.close()
    await expect.poll(() => fake.open).toBe(0)
    expect((await failure(store.read(path))).code).toBe('cancelled')
  })
})

describe('TLS', () => {
  test('trusts the authority that is named, and no other', async () => {
    const fake = await started({ tls })
    const trusted = await storeOf(fake, { ca: testCertificates.ca })
    expect((await trusted.read(path)).value.equals(SecretValue.text('value'))).toBe(true)
    const error = await failure((await storeOf(fake)).write(path, SecretValue.text('v'), intent()))
    expect([error.code, inspect(error.origin)]).toEqual(['unavailable', expect.stringMatching(/UNABLE_TO|SELF_SIGNED/)])
  })

  test('a server that speaks none, or ends the handshake, was never sent anything', async () => {
    const fake = await started()
    const store = await storeOf(fake, { endpoint: fake.url.replace('http:', 'https:') })
    expect((await failure(store.write(path, SecretValue.text('v'), intent()))).code).toBe('unavailable')
    const server = createServer().on('connection', socket => socket.destroy())
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const ends = await storeOf(fake, { endpoint: `https://127.0.0.1:${(server.address() as AddressInfo).port}` })
    expect((await failure(ends.write(path, SecretValue.text('v'), intent()))).code).toBe('unavailable')
    server.close()
  })
})

describe('a proxy', () => {
  test.each([['http', {}] as const, ['https', { tls }] as const])('is used for %s', async (_scheme, settings) => {
    const fake = await started(settings)
    const through: string[] = []
    const proxy = createServer((request, response) => {
      through.push(`${request.method} ${request.url}`)
      const { port, pathname } = new URL(request.url ?? '')
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', async () => {
        const headers = Object.fromEntries(
          Object.entries(request.headers).filter(([name]) => !/^(?:connection|proxy-connection|content-length|keep-alive)$/.test(name)),
        )
        const { request: send } = await import('node:http')
        const onward = send({ host: '127.0.0.1', port, path: pathname, method: 'POST', headers }, answer => {
          response.writeHead(answer.statusCode ?? 500, answer.headers)
          answer.pipe(response)
        })
        onward.end(Buffer.concat(chunks))
      })
    })
    proxy.on('connect', (request, socket) => {
      through.push(`CONNECT ${request.url}`)
      const onward = connect(Number(request.url?.split(':')[1]), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        onward.pipe(socket).pipe(onward)
      })
      onward.on('error', () => socket.destroy())
      socket.on('error', () => onward.destroy())
    })
    await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve))
    const address = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
    const store = await storeOf(fake, { proxy: address, ca: testCertificates.ca })
    expect((await store.read(path)).value.equals(SecretValue.text('value'))).toBe(true)
    expect(through).toEqual([settings === undefined || !('tls' in settings) ? `POST ${fake.url}/` : `CONNECT ${new URL(fake.url).host}`])
    await store.close()
    proxy.closeAllConnections()
    proxy.close()
  })
})

describe('an answer', () => {
  test('that never comes, or never ends, ends with the deadline; of a write the outcome is unknown', async () => {
    for (const knob of [{ do: 'hang' }, { do: 'endless' }] as const) {
      const fake = await started()
      fake.turn(/./, knob)
      const store = await storeOf(fake, {}, 100)
      expect((await failure(store.read(path))).code).toBe('unavailable')
      expect((await failure(store.write(path, SecretValue.text('v'), intent()))).code).toBe('outcome_unknown')
      await expect.poll(() => fake.inFlight.now).toBe(0)
    }
  })

  test('that is a redirect is not followed', async () => {
    const [fake, other] = [await started(), await started()]
    fake.turn(/./, { do: 'redirect', to: other.url })
    expect((await failure((await storeOf(fake)).read(path))).code).toBe('unavailable')
    expect(other.connections).toBe(0)
  })

  test('that is larger than any answer of AWS is not read to its end', async () => {
    const fake = await started()
    fake.turn(/./, { do: 'say', body: `{"SecretString":"${'x'.repeat(5_000_000)}"}` })
    expect((await failure((await storeOf(fake)).read(path))).code).toBe('corrupt')
  })

  test.each([
    ['a page', { do: 'page' }, 'corrupt'],
    ['a page of a gateway', { do: 'page', status: 502 }, 'unavailable'],
    ['a page of an overloaded gateway', { do: 'page', status: 503, headers: { 'retry-after': '4' } }, 'unavailable'],
    ['JSON with an end missing', { do: 'say', body: '{"SecretString":"canary-7d1f' }, 'corrupt'],
    ['JSON that is no object', { do: 'say', body: '["canary-7d1f"]' }, 'corrupt'],
    ['an object that says nothing', { do: 'say', body: '{"Name":"app"}' }, 'corrupt'],
    ['nothing', { do: 'say', body: '' }, 'corrupt'],
    [
      'another secret',
      { do: 'say', body: '{"Name":"other","VersionId":"v","CreatedDate":1,"SecretString":"canary-7d1f"}' },
      'invalid_argument',
    ],
  ] as const)('that is %s is named, and nothing of it is printed', async (_title, knob, code) => {
    const fake = await started()
    fake.turn(/./, knob)
    const error = await failure((await storeOf(fake)).read(path))
    expect(error.code).toBe(code)
    expect(`${inspect(error, { depth: 9 })}${JSON.stringify(error)}`).not.toContain('canary-7d1f')
    if ('headers' in knob) expect(error.retryAfterMs).toBe(4_000)
  })
})

describe('a request', () => {
  test('is sent once, whatever comes back', async () => {
    const fake = await started()
    const store = await storeOf(fake)
    for (const [type, status] of [
      ['InternalServiceError', 500],
      ['ThrottlingException', 400],
      ['ServiceUnavailable', 503],
    ] as const) {
      fake.turn(/Put/, { do: 'fail', type, status }, 1)
      await failure(store.write(path, SecretValue.text('v'), intent()))
      const put = await store.write(path, SecretValue.text(`after ${type}`), intent())
      expect((await store.read(path)).version).toBe(put.version)
    }
    expect(fake.seen.filter(({ operation }) => operation === 'PutSecretValue')).toHaveLength(3)
  })

  test('is sent once more where only the clock was wrong, with the time that AWS said', async () => {
    const fake = await started()
    fake.clockAheadMs = 3_600_000
    fake.turn(/./, { do: 'fail', type: 'InvalidSignatureException', message: 'Signature expired' }, 1)
    const store = await storeOf(fake)
    expect((await store.read(path)).value.equals(SecretValue.text('value'))).toBe(true)
    const date = String(fake.seen.at(-1)?.headers['x-amz-date'])
    const hours = Number(date.slice(9, 11)) - new Date().getUTCHours()
    expect([1, -23]).toContain(hours)
  })
})
