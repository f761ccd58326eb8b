import { createServer as createHttp } from 'node:http'
import { createServer as createHttp2, type Http2Server } from 'node:http2'
import { type AddressInfo, connect, type Server } from 'node:net'
import { wallClock } from '@keyturn/conformance'
import { BrokerError } from '@keyturn/core'
import { afterEach, describe, expect, test } from 'vitest'
import { GcpSecretManagerFake } from '../../../test/fakes/gcp-secret-manager.ts'
import { testCertificates } from '../../../test/fakes/tls/certificates.ts'
import { classify } from './classify.ts'
import { Client, type ClientSettings } from './client.ts'
import { type Target, targetOf } from './options.ts'
import { Tokens } from './tokens.ts'

const name = 'projects/p/secrets/app/versions/latest'
const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function started(settings: { readonly tls?: boolean } = {}): Promise<GcpSecretManagerFake> {
  const fake = await GcpSecretManagerFake.start(settings)
  closing.push(() => fake.close().then(() => expect(fake.broken).toEqual([])))
  fake.secrets('projects/p').put('app', 'the value')
  return fake
}

function clientOf(endpoint: string, more: Partial<ClientSettings> = {}): Client {
  const target = targetOf(endpoint) as Target
  const client = new Client({ target, maxInFlight: 32, answerMs: 10_000, ...more })
  closing.push(() => client.close())
  return client
}

const signal = () => AbortSignal.timeout(8_000)
const read = (client: Client, until = signal()) => client.call('accessSecretVersion', { name }, until)
const add = (client: Client) =>
  client.call('addSecretVersion', { parent: 'projects/p/secrets/app', payload: { data: Buffer.from('x') } }, signal())
const codeOf = (call: Promise<unknown>) =>
  call.then(
    () => 'ended well',
    (error: unknown) => classify(error).code,
  )

/** Tokens that count their logins; each login gives what `accountOf` knows. */
function tokensOf(lives: readonly number[]): { readonly tokens: Tokens; readonly given: string[] } {
  const given: string[] = []
  const tokens = new Tokens(
    {
      title: 'the test',
      async login() {
        await new Promise(resolve => setTimeout(resolve, 10))
        given.push(`token-${given.length + 1}`)
        return { token: given.at(-1) ?? '', endsAt: Date.now() + (lives[given.length - 1] ?? 3_600_000) }
      },
    },
    wallClock,
  )
  return { tokens, given }
}

test('calls that are under way, or wait for their turn, end when the client is closed', async () => {
  const fake = await started()
  const client = clientOf(fake.endpoint, { maxInFlight: 2 })
  await read(client)
  fake.turn(/Access|Add/, { do: 'hang' })
  const calls = [read(client), add(client), read(client)].map(codeOf)
  await expect.poll(() => fake.seen.length).toBe(3)
  await client.close()
  expect(await Promise.all(calls)).toEqual(['cancelled', 'outcome_unknown', 'cancelled'])
})

test('a call to a client that was closed is cancelled, so that nobody tries it again', async () => {
  const client = clientOf((await started()).endpoint)
  await client.close()
  expect(await codeOf(read(client))).toBe('cancelled')
})

describe('over TLS', () => {
  test('the authority that is named is trusted, and no other', async () => {
    const fake = await started({ tls: true })
    fake.account = token => (token === 'token-1' ? { may: () => true } : undefined)
    const { tokens } = tokensOf([])
    const good = clientOf(`https://localhost:${fake.port}`, { ca: testCertificates.ca, tokens })
    expect((await read(good)).name).toBe('projects/4711/secrets/app/versions/1')
    const error = await read(clientOf(`https://localhost:${fake.port}`, { tokens })).catch((thrown: unknown) => thrown)
    expect(classify(error).code).toBe('unavailable')
    expect(String(error)).toMatch(/certificate/i)
  })

  test('a refused token is replaced once, for everybody who waits, and a write is sent again that was not begun', async () => {
    const fake = await started({ tls: true })
    fake.account = token => (token === 'token-2' ? { may: () => true } : undefined)
    const { tokens, given } = tokensOf([])
    const client = clientOf(`https://localhost:${fake.port}`, { ca: testCertificates.ca, tokens })
    await Promise.all([...Array.from({ length: 10 }, () => read(client)), add(client)])
    expect(given).toEqual(['token-1', 'token-2'])
  })

  test('a credential that gives no token that is taken is unauthenticated, after two tries', async () => {
    const fake = await started({ tls: true })
    fake.account = () => undefined
    const { tokens, given } = tokensOf([])
    expect(await codeOf(read(clientOf(`https://localhost:${fake.port}`, { ca: testCertificates.ca, tokens })))).toBe('unauthenticated')
    expect(given).toHaveLength(2)
  })

  test('the project that pays is named', async () => {
    const fake = await started({ tls: true })
    fake.account = () => ({ may: () => true })
    const login = async () => ({ token: 't', endsAt: Date.now() + 60_000, quotaProject: 'payer' })
    const tokens = new Tokens({ title: 'the test', login }, wallClock)
    await read(clientOf(`https://localhost:${fake.port}`, { ca: testCertificates.ca, tokens }))
    expect(fake.seen[0]?.metadata).toMatchObject({ 'x-goog-user-project': 'payer', authorization: 'Bearer t' })
  })
})

describe('through a proxy', () => {
  /** Tunnels, and remembers where to. `to` overrules. */
  async function proxyOf(asked: string[], { status = 200, to }: { readonly status?: number; readonly to?: number } = {}): Promise<string> {
    const proxy = createHttp()
    proxy.on('connect', (request, socket) => {
      asked.push(`${request.url} ${request.headers['proxy-authorization'] ?? ''}`.trim())
      if (status !== 200) return void socket.end(`HTTP/1.1 ${status} no\r\n\r\n`)
      const onward = connect(to ?? Number(request.url?.split(':').at(-1)), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 ok\r\n\r\n')
        onward.pipe(socket).pipe(onward)
      })
      for (const each of [onward, socket]) each.on('error', () => onward.destroy())
    })
    await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve))
    closing.push(async () => {
      proxy.closeAllConnections()
      proxy.close()
    })
    return `127.0.0.1:${portOf(proxy)}`
  }

  test('the service is reached, by its own name and certificate', async () => {
    const fake = await started({ tls: true })
    fake.account = () => ({ may: () => true })
    const asked: string[] = []
    const proxy = `http://someone:p%40ss@${await proxyOf(asked)}`
    const client = clientOf(`https://localhost:${fake.port}`, { ca: testCertificates.ca, proxy, tokens: tokensOf([]).tokens })
    expect((await read(client)).name).toBe('projects/4711/secrets/app/versions/1')
    expect(asked).toEqual([`localhost:${fake.port} Basic ${Buffer.from('someone:p@ss').toString('base64')}`])
  })

  test('one that leads elsewhere is found out, and gets no token', async () => {
    const fake = await started({ tls: true })
    const asked: string[] = []
    const proxy = `http://${await proxyOf(asked, { to: fake.port })}`
    const client = clientOf('https://secretmanager.googleapis.com', { ca: testCertificates.ca, proxy, tokens: tokensOf([]).tokens })
    expect(await codeOf(read(client))).toBe('unavailable')
    expect([asked[0], fake.seen]).toEqual(['secretmanager.googleapis.com:443', []])
  })

  test('one that refuses is unavailable', async () => {
    const client = clientOf('https://localhost:1', { proxy: `http://${await proxyOf([], { status: 407 })}`, tokens: tokensOf([]).tokens })
    expect(await codeOf(add(client))).toBe('unavailable')
  })
})

describe('calls', () => {
  test('share one connection', async () => {
    const fake = await started()
    const client = clientOf(fake.endpoint)
    for (let round = 0; round < 5; round += 1) await Promise.all([read(client), read(client)])
    expect(fake.connections).toBe(1)
  })

  test('wait for a place, and leave the queue with their signal', async () => {
    const fake = await started()
    fake.turn(/./, { do: 'slow', ms: 30 })
    const client = clientOf(fake.endpoint, { maxInFlight: 3 })
    const stop = new AbortController()
    const calls = Array.from({ length: 9 }, () => read(client))
    const leaving = read(client, stop.signal)
    stop.abort(new Error('told to stop'))
    await expect(leaving).rejects.toThrow('told to stop')
    await Promise.all(calls)
    expect([fake.mostInFlight, fake.seen.length]).toEqual([3, 9])
  })

  test('that never end are ended by their signal, and the service is told', async () => {
    const fake = await started()
    fake.turn(/./, { do: 'hang' }, 1)
    const client = clientOf(fake.endpoint, { maxInFlight: 1 })
    const stop = new AbortController()
    const hanging = read(client, stop.signal)
    await expect.poll(() => fake.seen.length).toBe(1)
    stop.abort(new Error('told to stop'))
    await expect(hanging).rejects.toThrow('told to stop')
    // the place is free again
    expect((await read(client)).name).toContain('versions/1')
  })

  test('have a longest time of their own', async () => {
    const fake = await started()
    fake.turn(/./, { do: 'hang' })
    expect(await codeOf(add(clientOf(fake.endpoint, { answerMs: 100 })))).toBe('outcome_unknown')
  })

  test.each([
    [14, 'The service is currently unavailable.', 'outcome_unknown'],
    [8, 'Quota exceeded', 'throttled'],
    [4, 'Deadline exceeded', 'outcome_unknown'],
    [13, 'Internal error encountered.', 'outcome_unknown'],
  ])('answered with %i are sent once: the client’s own retries are off', async (code, details, named) => {
    const fake = await started()
    fake.turn(/./, { do: 'status', code, details })
    const client = clientOf(fake.endpoint)
    expect([await codeOf(add(client)), await codeOf(read(client))]).toEqual([named, named === 'outcome_unknown' ? 'unavailable' : named])
    expect(fake.seen).toHaveLength(2)
  })

  test('go on over a new connection after theirs was cut', async () => {
    const fake = await started()
    const client = clientOf(fake.endpoint)
    await read(client)
    fake.hangUp()
    await expect.poll(() => codeOf(read(client)), { timeout: 5_000 }).toBe('ended well')
    expect(fake.connections).toBe(2)
  })

  test('bring what the service says of waiting', async () => {
    const fake = await started()
    fake.turn(/./, { do: 'status', code: 8, details: 'Quota exceeded', retryMs: 3_000 })
    const error = await read(clientOf(fake.endpoint)).catch((thrown: unknown) => thrown)
    expect(classify(error)).toEqual({ code: 'throttled', retryAfterMs: 3_000 })
  })

  test('after the end fail', async () => {
    const fake = await started()
    const client = clientOf(fake.endpoint)
    await client.close()
    expect(await codeOf(read(client))).not.toBe('ended well')
  })
})

describe('something that is not the service', () => {
  async function pageOf(status: number, type: string, body: string): Promise<string> {
    const server: Http2Server = createHttp2((_request, response) => {
      response.writeHead(status, { 'content-type': type })
      response.end(body)
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    closing.push(async () => server.close())
    return `127.0.0.1:${portOf(server)}`
  }

  test.each([
    [200, 'corrupt'],
    [302, 'corrupt'],
    [400, 'corrupt'],
    [403, 'corrupt'],
    [404, 'corrupt'],
    [429, 'unavailable'],
    [500, 'outcome_unknown'],
    [502, 'outcome_unknown'],
    [503, 'unavailable'],
    [504, 'outcome_unknown'],
  ])('and answers a write with a page of status %i is %s', async (status, code) => {
    const endpoint = await pageOf(status, 'text/html', '<html>log in</html>')
    expect(await codeOf(add(clientOf(endpoint)))).toBe(code)
  })

  test('and speaks HTTP/1.1 is unavailable', async () => {
    const server = createHttp((_request, response) => response.end('<html>'))
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    closing.push(async () => server.close())
    expect(await codeOf(add(clientOf(`127.0.0.1:${portOf(server)}`)))).toBe('unavailable')
  })
})

test('a broker’s own error keeps its code', () => {
  expect(classify(new BrokerError('throttled', 'x', { retryAfterMs: 5 }))).toEqual({ code: 'throttled', retryAfterMs: 5 })
})

function portOf(server: Server | Http2Server): number {
  return (server.address() as AddressInfo).port
}
