import type { AddressInfo } from 'node:net'
import { createServer, type Socket } from 'node:net'
import { failure } from '@keyturn/conformance'
import { SecretValue, type StorePath } from '@keyturn/core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { azureCertificate } from '../../../test/fakes/azure-certificate.ts'
import { AzureTunnel } from '../../../test/fakes/azure-tunnel.ts'
import { AzureVault } from '../../../test/fakes/azure-vault.ts'
import { testCertificates } from '../../../test/fakes/tls/certificates.ts'
import { OwnVault } from './vault.fixture.ts'

const at = (path: string) => path as StorePath
const one = SecretValue.text('one')
const intent = () => ({ idempotencyKey: crypto.randomUUID() })

let own: OwnVault
let fake: AzureVault
beforeEach(async () => {
  own = await OwnVault.start()
  fake = own.fake
  fake.secrets.put('x', 'one')
})
afterEach(() => own.close())
const storeOf = (more: object = {}, timeoutMs = 20_000) => own.store(more, { timeoutMs })

describe('connections', () => {
  test('are kept: a hundred reads, no new connection for each', async () => {
    const store = await storeOf()
    for (let index = 0; index < 100; index += 1) await store.read(at('x'))
    // the pool may open a second one when a body ends a moment before its connection is free
    expect(fake.server.connections).toBeLessThanOrEqual(2)
  })

  test('are at most maxInFlight: more calls wait for a place, and none fails', async () => {
    const store = await storeOf({ maxInFlight: 3 })
    await store.read(at('x'))
    fake.server.turn(/^GET /, { do: 'slow', ms: 5 })
    await Promise.all(Array.from({ length: 40 }, () => store.read(at('x'))))
    expect([fake.server.connections, fake.server.busiest]).toEqual([3, 3])
  })

  test('that the server closed meanwhile cost a read nothing', async () => {
    const store = await storeOf()
    await store.read(at('x'))
    fake.server.turn(/^GET /, { do: 'drop' }, 1)
    expect((await store.read(at('x'))).version).toBeDefined()
    expect(fake.server.seen.filter(({ method }) => method === 'GET')).toHaveLength(4)
  })

  test('cut under a write: it is not sent again', async () => {
    const store = await storeOf()
    await store.read(at('x'))
    fake.server.turn(/^PUT /, { do: 'drop' })
    expect((await failure(store.write(at('x'), one, intent()))).code).toBe('outcome_unknown')
    expect(fake.asked.filter(line => line.startsWith('PUT'))).toHaveLength(1)
  })

  test('are gone after close, and a call after it is refused', async () => {
    const store = await storeOf()
    await store.read(at('x'))
    fake.server.turn(/^GET /, { do: 'hang' })
    const hanging = failure(store.read(at('x')))
    await expect.poll(() => fake.server.busy).toBe(1)
    await store.close()
    expect((await hanging).code).toBe('cancelled')
    expect((await failure(store.read(at('x')))).code).toBe('cancelled')
    await expect.poll(() => fake.server.open).toBe(0)
  })
})

describe('the first calls', () => {
  test('at once lose no body while the vault is asked whom it trusts', async () => {
    const store = await storeOf()
    await Promise.all(Array.from({ length: 12 }, (_, index) => store.write(at(`w${index}`), SecretValue.text(`value ${index}`), intent())))
    for (let index = 0; index < 12; index += 1)
      expect(fake.secrets.stored(`w${index}`).map(({ value }) => value)).toEqual([`value ${index}`])
    expect(fake.authority.issued).toBe(1)
    // no value goes out before the vault has told
    expect(fake.server.seen.filter(({ headers, body }) => headers.authorization === undefined && body !== '')).toEqual([])
  })

  test('go on when the very first one fails', async () => {
    const store = await storeOf()
    fake.server.turn(/./, { do: 'page', status: 503 }, 1)
    expect((await failure(store.write(at('y'), one, intent()))).code).toBe('unavailable')
    await store.write(at('y'), one, intent())
    expect(fake.secrets.stored('y').map(({ value }) => value)).toEqual(['one'])
  })

  test('wait for a hanging first one no longer than their own deadline', async () => {
    const store = await storeOf({}, 150)
    fake.server.turn(/./, { do: 'hang' })
    const codes = await Promise.all([0, 1, 2].map(async () => (await failure(store.read(at('x')))).code))
    expect(codes).toEqual(['unavailable', 'unavailable', 'unavailable'])
  })
})

describe('an answer', () => {
  test.each([
    ['that hangs', { do: 'hang' } as const],
    ['that never ends', { do: 'endless', bytes: 1 } as const],
  ])('%s is left by the deadline, and its connection with it', async (_, knob) => {
    const store = await storeOf({}, 200)
    await store.read(at('x'))
    fake.server.turn(/^GET /, knob)
    const before = Date.now()
    expect((await failure(store.read(at('x')))).code).toBe('unavailable')
    expect(Date.now() - before).toBeLessThan(2_000)
    await expect.poll(() => fake.server.busy).toBe(0)
  })

  test('that is too large is not read to its end', async () => {
    fake.server.turn(/^GET /, { do: 'endless', bytes: 262_144 })
    expect((await failure((await storeOf()).read(at('x')))).code).toBe('corrupt')
  })

  test('that repeats a value is in no error', async () => {
    const store = await storeOf()
    await store.read(at('x'))
    fake.server.turn(/^GET /, { do: 'say', status: 200, body: '{"value":"canary-in-an-answer"' })
    fake.server.turn(/^PUT /, { do: 'say', status: 400, body: '{"oops":"canary-in-an-answer"}' })
    for (const error of [
      await failure(store.read(at('x'))),
      await failure(store.write(at('y'), SecretValue.text('canary-in-an-answer'), intent())),
    ]) {
      expect(`${error.message}${error.hint}${error.stack}${JSON.stringify(error)}`).not.toContain('canary')
    }
  })

  test('that redirects takes nobody, and no token, elsewhere', async () => {
    const store = await storeOf()
    const other = await AzureVault.start()
    try {
      fake.server.turn(/./, { do: 'redirect', to: `${other.url}/secrets/x/?api-version=7.6` })
      expect((await failure(store.read(at('x')))).code).toBe('unavailable')
      expect(other.server.seen).toEqual([])
    } finally {
      await other.close()
    }
  })
})

describe('a vault under its own name', () => {
  let tunnel: AzureTunnel
  let named: AzureVault
  beforeEach(async () => {
    tunnel = await AzureTunnel.start()
    named = await AzureVault.start({ tls: azureCertificate })
    named.secrets.put('x', 'one')
    tunnel.places.set(`${azureCertificate.host}:443`, named.server.port)
    tunnel.places.set(`localhost:${named.authority.server.port}`, named.authority.server.port)
  })
  afterEach(async () => {
    await tunnel.close()
    await named.close()
  })
  const through = (more: object = {}) => {
    const { tenant: tenantId, url: authority } = named.authority
    const auth = { method: 'client-secret', tenantId, clientId: 'app', clientSecret: 'secret-of-the-app' }
    const ca = `${testCertificates.ca}\n${azureCertificate.cert}`
    return storeOf({ vault: `https://${azureCertificate.host}`, authority, auth, ca, proxy: tunnel.url, verifyChallenge: true, ...more })
  }

  test('is reached through a proxy, with its challenge verified, and so is the authority', async () => {
    const store = await through()
    expect((await store.read(at('x'))).value.equals(one)).toBe(true)
    expect(new Set(tunnel.asked)).toEqual(new Set(tunnel.places.keys()))
    expect(tunnel.asked.length).toBeLessThanOrEqual(3)
  })

  test('gets no token when its challenge names another service', async () => {
    named.resource = 'https://management.azure.com'
    const store = await through()
    expect((await failure(store.read(at('x')))).code).toBe('unauthenticated')
    expect(named.authority.server.seen).toEqual([])
  })

  test('is unavailable when the proxy does not lead there, or its certificate is another', async () => {
    tunnel.places.delete(`${azureCertificate.host}:443`)
    expect((await failure((await through()).read(at('x')))).code).toBe('unavailable')
    tunnel.places.set(`${azureCertificate.host}:443`, fake.server.port)
    const error = await failure((await through()).write(at('x'), one, intent()))
    expect([error.code, (error.origin as Error).message]).toEqual(['unavailable', expect.stringContaining('ERR_TLS_CERT_ALTNAME_INVALID')])
  })
})

describe('a server that takes connections and says nothing', () => {
  test('is left by the deadline', async () => {
    const sockets: Socket[] = []
    const silent = createServer(socket => sockets.push(socket.resume().on('error', () => undefined)))
    await new Promise<void>(resolve => silent.listen(0, '127.0.0.1', resolve))
    try {
      const { port } = silent.address() as AddressInfo
      const store = await storeOf({ vault: `https://localhost:${port}` }, 150)
      expect((await failure(store.read(at('x')))).code).toBe('unavailable')
      // an attempt to connect has its own end
      await expect.poll(() => sockets.every(socket => socket.destroyed || socket.readableEnded), { timeout: 8_000 }).toBe(true)
    } finally {
      for (const socket of sockets) socket.destroy()
      silent.close()
    }
  })
})
