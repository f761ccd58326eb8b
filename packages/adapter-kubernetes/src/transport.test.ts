import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { KubernetesFake } from '../../../test/fakes/kubernetes.ts'
import { endpointOf } from './credential.ts'
import { Transport, type TransportError } from './transport.ts'

let fake: KubernetesFake
beforeAll(async () => {
  fake = await KubernetesFake.start()
  fake.secrets.namespaces.add('shop')
  fake.secrets.put('shop', 'stripe', { k: 'v' })
})
beforeEach(() => {
  fake.turnBack()
  fake.seen.length = 0
})
afterAll(async () => {
  expect(fake.broken).toEqual([])
  await fake.close()
})

const way = (more: object = {}) =>
  new Transport({ ...endpointOf({ address: fake.url, ca: fake.ca }), connections: 4, answerMs: 2_000, ...more })
const get = (on: Transport, signal = AbortSignal.timeout(5_000), path = '/api/v1/namespaces/shop/secrets/stripe') =>
  on.send({ method: 'GET', path, headers: { authorization: `Bearer ${fake.admin}` }, signal })
const failure = (call: Promise<unknown>) =>
  call.then(
    () => expect.unreachable('it ended well'),
    (error: TransportError) => error,
  )

describe('a connection', () => {
  test('is kept and used again, and there are no more than allowed; more calls wait', async () => {
    const on = way()
    const before = fake.connections
    for (let count = 0; count < 20; count += 1) await get(on)
    // the pool may open a second one when a body ends a moment before its connection is free
    expect(fake.connections - before).toBeLessThanOrEqual(2)
    fake.turn(/./, { do: 'slow', ms: 20 })
    const answers = await Promise.all(Array.from({ length: 40 }, () => get(on)))
    expect(answers.every(({ status }) => status === 200)).toBe(true)
    expect(fake.connections - before).toBeLessThanOrEqual(4)
    await on.close()
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
    await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve))
    // listen() on a port gives an AddressInfo
    const on = way({ proxy: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` })
    expect((await get(on)).status).toBe(200)
    expect(targets).toEqual([new URL(fake.url).host])
    await on.destroy()
    proxy.close()
  })

  test('wants the certificate of the server that it means', async () => {
    for (const more of [{ ca: undefined }, { serverName: 'kubernetes.example.com' }]) {
      const on = way(more)
      expect(await failure(get(on))).toMatchObject({ failure: 'connect' })
      await on.destroy()
    }
    const named = way({ serverName: 'localhost' })
    expect((await get(named)).status).toBe(200)
    await named.destroy()
    expect(fake.seen).toHaveLength(1)
  })

  test('keeps the path before /api', async () => {
    const on = way({ address: `${fake.url}/k8s/clusters/c-1/` })
    await failure(get(on))
    expect(fake.seen[0]?.path).toBe('/k8s/clusters/c-1/api/v1/namespaces/shop/secrets/stripe')
    await on.destroy()
  })
})

describe('an answer', () => {
  test.each([
    ['a redirect', { do: 'redirect', to: 'https://127.0.0.1:1/' }, 'redirect'],
    ['a page', { do: 'page' }, 'foreign'],
    ['half of it', { do: 'say', body: '{"kind":"canary"' }, 'foreign'],
    ['text', { do: 'say', body: '{}', type: 'text/plain' }, 'foreign'],
    ['more than any Secret', { do: 'say', body: JSON.stringify('x'.repeat(5_000_000)) }, 'too_large'],
    ['nothing, and an end', { do: 'drop' }, 'cut'],
  ] as const)('that is %s is none', async (_, knob, why) => {
    const on = way()
    fake.turn(/./, knob)
    const error = await failure(get(on))
    expect([error.failure, `${error.message}${error.stack}`]).toEqual([why, expect.not.stringContaining('canary')])
    expect(fake.seen).toHaveLength(1)
    await on.destroy()
  })

  test.each(['hang', 'endless'] as const)('that does not end (%s) ends with its signal, and its connection is let go', async knob => {
    const on = way({ connections: 1 })
    fake.turn(/./, { do: knob }, 1)
    const reason = new Error('told to stop')
    const told = new AbortController()
    setTimeout(() => told.abort(reason), 50)
    expect(await failure(get(on, told.signal))).toBe(reason)
    expect((await get(on)).status).toBe(200)
    await on.destroy()
  })
})
