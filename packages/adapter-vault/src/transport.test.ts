import { execFile } from 'node:child_process'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { inspect, promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { testCertificates } from '../../../test/fakes/tls/certificates.ts'
import { VaultFake } from '../../../test/fakes/vault.ts'
import { isApiError } from './classify.ts'
import { Client } from './client.ts'
import { Transport, TransportError } from './transport.ts'

const token = 'hvs.canary-token-7f3a'
const value = 'canary-value:%^$@:/?#"\'\\end'

let fake: VaultFake
let client: Client
beforeEach(async () => {
  fake = await VaultFake.start()
  fake.auth.grant({}, token)
  fake.mount('secret', 2)
  client = clientAt(fake.url)
})
afterEach(async () => {
  await client.close()
  await fake.close()
})

function clientAt(address: string, answerMs = 5_000): Client {
  return new Client({ address, connections: 4, answerMs })
}

const request = (more: object = {}) => ({ token, signal: new AbortController().signal, ...more })
const write = () => client.write('secret/data/x', JSON.stringify({ data: { field: value } }), request())

function failure(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => expect.unreachable('it ended well'),
    (error: unknown) => error,
  )
}

function printed(error: unknown): string {
  const own = error instanceof Error ? `${error.message}\n${error.stack}\n${String(error)}` : ''
  return `${own}\n${JSON.stringify(error)}\n${inspect(error, { depth: 12, showHidden: true })}`
}

async function listening(server: Server): Promise<number> {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  // listening on a port gives an AddressInfo
  return (server.address() as AddressInfo).port
}

describe('a redirect', () => {
  test.each([301, 302, 307, 308])('%i is an error, and the token goes nowhere', async status => {
    const elsewhere: string[] = []
    const other = createServer((incoming, response) => {
      elsewhere.push(incoming.url ?? '')
      response.end('{}')
    })
    const port = await listening(other)
    fake.turn(/./, { do: 'redirect', to: `http://127.0.0.1:${port}/v1/secret/data/x`, status })
    expect(await failure(client.read('secret/data/x', request()))).toMatchObject({ failure: 'redirect', status })
    expect(elsewhere).toEqual([])
    other.close()
  })
})

describe('a path that would reach another place', () => {
  const sent = (uri: string) => {
    const transport = new Transport({ address: fake.url, connections: 1, answerMs: 1_000 })
    return transport.send({ method: 'GET', uri, headers: { 'X-Vault-Token': token } }).finally(() => transport.close())
  }
  test.each([
    '/v1/secret/data/../../sys/raw/x',
    '/v1/secret/data/%2e%2e/%2e%2e/sys/raw/x',
    '/v1/secret/data/%2E./x',
    '/v1/secret/data/a%2f..%2fb',
    '/v1/secret/data/a%5cb',
    '/v1/secret/data/%252e%252e/x',
    '/v1/secret/data/x%00',
    '/v1/secret/data/x%0d%0aX-Vault-Token:%20y',
    '/v1/secret/data/x\r\nX: y',
    '/v1//secret/data/x',
    '/v1/secret/data/./x',
    '/v1/secret/data/x#y',
    '/v1/secret/data/x?version=1?depth=1',
    '/v1/secret/data/x?help=1',
    '/v1/secret/data/x?list=true&after=&limit=1&version=1',
    '/v1/secret/data/x?list=true&after=#&limit=1',
    '/v1/secret/data/\u00e9',
    '/v1/secret/data/a b',
    '/v1/secret/data/%e9',
    '/v1/secret/data/',
    '',
  ])('%j is refused before it is sent', async path => {
    await expect(sent(fake.url + path)).rejects.toMatchObject({ name: 'TransportError', failure: 'path' })
    expect(fake.seen).toEqual([])
  })

  test('and so is another origin', async () => {
    await expect(sent('http://127.0.0.1:1/v1/secret/data/x')).rejects.toMatchObject({ failure: 'path' })
    await expect(sent(`${fake.url}.example.com/v1/secret/data/x`)).rejects.toMatchObject({ failure: 'path' })
    expect(fake.seen).toEqual([])
  })

  test('what the client sends arrives as it was named', async () => {
    for (const path of [
      'secret/data/a b',
      "secret/data/&#x2F;'()*!~",
      'secret/data/\u00e9/\u{1f511}',
      'secret/data/%2e%2e',
      'secret/data/a?b#c',
    ]) {
      const error = await failure(client.read(path, request()))
      const arrived = fake.seen.at(-1)?.path
      if (error instanceof TransportError) expect(error.failure).toBe('path')
      else expect(decodeURIComponent(arrived ?? '')).toBe(`/v1/${path}`)
    }
    expect(fake.seen.some(({ path }) => path.includes('..'))).toBe(false)
  })
})

describe('no error carries token or value', () => {
  test.each([
    ['a denial that repeats them', { do: 'fail', status: 400, errors: [`invalid "${token}" and ${JSON.stringify(value)} and ${value}`] }],
    ['a cut', { do: 'drop' }],
    ['a redirect', { do: 'redirect', to: 'http://127.0.0.1:1/' }],
    ['a login page', { do: 'page' }],
    ['half an answer', { do: 'say', body: `{"data":{"data":{"field":${JSON.stringify(value)}` }],
    ['an answer that is no object', { do: 'say', body: JSON.stringify(value) }],
  ] as const)('%s', async (_title, knob) => {
    fake.turn(/./, knob)
    const text = printed(await failure(write()))
    expect(text).not.toContain(token)
    expect(text).not.toContain('canary-value')
  })

  test('nor does nobody listening, nor an answer that is looked at', async () => {
    const gone = clientAt('http://127.0.0.1:1')
    const error = await failure(gone.write('secret/data/x', JSON.stringify({ data: { field: value } }), request()))
    expect(error).toMatchObject({ failure: 'connect' })
    expect(printed(error)).not.toMatch(/canary/)
    await gone.close()
    await write()
    expect(printed(await client.read('secret/data/x', request()))).not.toContain('canary-value')
  })
})

test.each([
  ['of an authority that is not trusted', testCertificates.server, undefined],
  ['for another name and another purpose', testCertificates.client, testCertificates.ca],
])('a server with a certificate %s was never reached', async (_how, certificate, ca) => {
  const secure = await VaultFake.start(Date.now, certificate)
  const untrusting = new Client({ address: secure.url, connections: 1, answerMs: 5_000, ca })
  expect(await failure(untrusting.read('secret/data/x', request()))).toMatchObject({ failure: 'connect' })
  expect(secure.seen).toEqual([])
  await untrusting.close()
  await secure.close()
})

test('a server that speaks no TLS was never reached', async () => {
  const secure = clientAt(fake.url.replace('http:', 'https:'))
  expect(await failure(secure.read('secret/data/x', request()))).toMatchObject({ failure: 'connect' })
  expect(fake.seen).toEqual([])
  await secure.close()
})

describe('time', () => {
  test('a server that says nothing is given up as cut', async () => {
    fake.turn(/./, { do: 'hang' })
    const hasty = clientAt(fake.url, 200)
    expect(await failure(hasty.read('secret/data/x', request()))).toMatchObject({ failure: 'cut' })
    await hasty.close()
  })

  test('the signal of a call ends it, with its reason, and closes its connection', async () => {
    fake.turn(/./, { do: 'hang' })
    const controller = new AbortController()
    const call = failure(client.read('secret/data/x', request({ signal: controller.signal })))
    await expect.poll(() => fake.seen.length).toBe(1)
    controller.abort(new Error('told to stop'))
    expect(await call).toMatchObject({ message: 'told to stop' })
    await expect.poll(() => fake.open).toBe(0)
  })

  test('a signal that fired before sends nothing', async () => {
    expect(() => client.read('secret/data/x', request({ signal: AbortSignal.abort(new Error('before')) }))).toThrow('before')
    expect(fake.connections).toBe(0)
  })
})

describe('an answer', () => {
  test.each([
    ['a page', { do: 'page' }, 200],
    ['a page of a gateway', { do: 'page', status: 502 }, 502],
    ['plain text', { do: 'say', body: '{}', type: 'text/plain' }, 200],
    ['broken JSON', { do: 'say', body: '{"data":' }, 200],
    ['a member twice', { do: 'say', body: '{"data":1,"data":2}' }, 200],
  ] as const)('that is %s is not the server’s', async (_title, knob, status) => {
    fake.turn(/./, knob)
    expect(await failure(client.read('secret/data/x', request()))).toMatchObject({ failure: 'foreign', status })
  })

  test('above 1 MiB is not read to its end', async () => {
    fake.turn(/./, { do: 'say', body: JSON.stringify({ data: 'x'.repeat(1_100_000) }) })
    expect(await failure(client.read('secret/data/x', request()))).toMatchObject({ failure: 'too_large' })
  })

  test('of 403 is an error even where the path says sys/health', async () => {
    const error = await failure(client.read('secret/data/sys/health', request({ token: 'none' })))
    expect(isApiError(error) && error.response.statusCode).toBe(403)
  })

  test('of 429 says how long to wait', async () => {
    fake.turn(/./, { do: 'throttle', retryAfter: '3' })
    const error = await failure(client.read('secret/data/x', request()))
    expect(isApiError(error) && error.response.body.retryAfterMs).toBe(3_000)
  })
})

describe('a connection', () => {
  test('is kept and used again, and there are no more than allowed', async () => {
    for (let count = 0; count < 20; count += 1) await failure(client.read('secret/data/x', request()))
    // the pool may open a second one when a body ends a moment before its connection is free
    expect(fake.connections).toBeLessThanOrEqual(2)
    await Promise.all(Array.from({ length: 40 }, () => failure(client.read('secret/data/x', request()))))
    expect(fake.connections).toBeLessThanOrEqual(4)
  })

  test('goes through a proxy where one is named', async () => {
    const targets: string[] = []
    const proxy = createServer().on('connect', (incoming, socket) => {
      targets.push(incoming.url ?? '')
      const onward = connect(Number(new URL(fake.url).port), '127.0.0.1', () => socket.write('HTTP/1.1 200 Connection Established\r\n\r\n'))
      onward.pipe(socket).pipe(onward)
      onward.on('error', () => socket.destroy())
      socket.on('error', () => onward.destroy())
    })
    const port = await listening(proxy)
    const through = new Client({ address: fake.url, proxy: `http://127.0.0.1:${port}`, connections: 1, answerMs: 2_000 })
    await through.read('auth/token/lookup-self', request())
    expect(targets).toEqual([new URL(fake.url).host])
    await through.close()
    proxy.close()
  })
})

describe('what node-vault adds of its own', () => {
  test('a later token is used, not the first one again', async () => {
    for (const each of ['first', 'second']) await failure(client.read('secret/data/x', request({ token: each })))
    expect(fake.seen.map(seen => seen.token)).toEqual(['first', 'second'])
  })

  test('nothing of the environment changes a request, and nothing is printed', async () => {
    const program = `
      import { Client } from ${JSON.stringify(new URL('client.ts', import.meta.url).href)}
      const client = new Client({ address: ${JSON.stringify(fake.url)}, connections: 1, answerMs: 5000 })
      const signal = new AbortController().signal
      await client.write('auth/approle/login', '{"role_id":"r","secret_id":"canary-secret-id"}', { token: undefined, signal }).catch(() => {})
      await client.write('secret/data/x', '{"data":{"field":"canary-value"}}', { token: ${JSON.stringify(token)}, signal })
      await client.close()`
    const { stdout, stderr } = await promisify(execFile)(
      process.execPath,
      ['--conditions=@keyturn/source', '--input-type=module-typescript', '-e', program],
      {
        env: {
          VAULT_TOKEN: 'from-the-environment',
          VAULT_NAMESPACE: 'from-the-environment',
          VAULT_PREFIX: '/from-the-environment',
          VAULT_ADDR: 'http://127.0.0.1:1',
          HTTP_PROXY: 'http://127.0.0.1:1',
          DEBUG: '*',
          NODE_DEBUG: '',
        },
        cwd: fileURLToPath(new URL('.', import.meta.url)),
      },
    )
    expect(fake.seen.map(seen => [seen.path, seen.token])).toEqual([
      ['/v1/auth/approle/login', undefined],
      ['/v1/secret/data/x', token],
    ])
    expect(JSON.stringify(fake.seen)).not.toContain('from-the-environment')
    expect(stdout + stderr).not.toMatch(/canary/)
  })

  test('a list is a GET, and requests are marked as those of a program', async () => {
    await failure(client.list('secret/metadata/x', request(), { after: 'a/b c', limit: 10 }))
    expect(fake.seen[0]).toMatchObject({ method: 'GET', path: '/v1/secret/metadata/x?list=true&after=a%2Fb%20c&limit=10' })
    expect(fake.seen[0]?.headers['x-vault-request']).toBe('true')
  })
})
