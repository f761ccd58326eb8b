import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { failure, testContext, wallClock } from '@keyturn/conformance'
import type { Clock, StoreAdapter, StorePath } from '@keyturn/core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { KubernetesFake } from '../../../test/fakes/kubernetes.ts'
import { testCertificates } from '../../../test/fakes/tls/certificates.ts'
import { open, options } from './index.ts'

let fake: KubernetesFake
let folder: string
let later = 0
const clock: Clock = { ...wallClock, now: () => new Date(Date.now() + later), after: wallClock.after }
const adapters: StoreAdapter[] = []
const path = 'shop/stripe' as StorePath

beforeAll(async () => {
  fake = await KubernetesFake.start(() => Date.now() + later)
  fake.secrets.namespaces.add('shop')
  fake.secrets.put('shop', 'stripe', { k: 'v' })
  fake.access.allow('test-only-client', [{ verbs: ['get'], namespace: 'shop' }])
})
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keyturn-login-'))
  later = 0
  fake.seen.length = 0
})
afterEach(async () => {
  for (const each of adapters.splice(0)) await each.close()
  await rm(folder, { recursive: true })
})
afterAll(async () => {
  expect(fake.broken).toEqual([])
  await fake.close()
})

const opened = async (section: object, env: Record<string, string> = {}) => {
  const context = testContext('login', { clock })
  const made = await open(options.parse(section), context, { env })
  adapters.push(made)
  return made
}
const read = (on: StoreAdapter) => on.read(path, { signal: AbortSignal.timeout(10_000) })
const file = async (name: string, text: string) => {
  await writeFile(join(folder, name), text)
  return join(folder, name)
}
const bearers = () => fake.seen.map(({ headers }) => headers.authorization?.replace('Bearer ', ''))
const pod = () => {
  const { hostname, port } = new URL(fake.url)
  return { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port }
}

interface Parts {
  readonly cluster?: object
  readonly user?: object
  readonly name?: string
}
const kubeconfig = ({ cluster = {}, user = {}, name = 'one' }: Parts = {}) =>
  JSON.stringify({
    'current-context': name,
    clusters: [{ name, cluster: { server: fake.url, 'certificate-authority-data': Buffer.from(fake.ca).toString('base64'), ...cluster } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    users: [{ name, user }],
  })
const withKubeconfig = async (parts: Parts, more: object = {}) =>
  opened({ auth: { method: 'kubeconfig', file: await file('config', kubeconfig(parts)), ...more } })

describe('a service account', () => {
  test('is that of the pod, and a token that is replaced is used before the old one ends', async () => {
    await file('ca.crt', fake.ca)
    const first = fake.access.token({ endsInMs: 60_000 })
    await file('token', `${first}\n`)
    const on = await opened({ auth: { method: 'in-cluster', folder } }, pod())
    await read(on)
    const second = fake.access.token()
    await file('token', second)
    later = 11_000
    await Promise.all([read(on), read(on)])
    expect(bearers()).toEqual([first, second, second])
    expect(fake.seen.every(({ path: at }) => at === '/api/v1/namespaces/shop/secrets/stripe')).toBe(true)
  })

  test('whose token was refused is read anew, once for all who found out', async () => {
    await file('ca.crt', fake.ca)
    const first = fake.access.token()
    await file('token', first)
    const on = await opened({ auth: { method: 'in-cluster', folder } }, pod())
    await read(on)
    fake.access.revoke(first)
    await file('token', fake.access.token())
    await Promise.all(Array.from({ length: 20 }, () => read(on)))
    expect(fake.seen.filter(({ headers }) => headers.authorization === `Bearer ${first}`).length).toBeLessThanOrEqual(21)
    fake.seen.length = 0
    await read(on)
    expect(fake.seen).toHaveLength(1)
  })

  test('that ended is ours to mend, not the caller’s, and is asked for twice at the most', async () => {
    await file('ca.crt', fake.ca)
    await file('token', fake.access.token({ endsInMs: 1_000 }))
    const on = await opened({ auth: { method: 'in-cluster', folder } }, pod())
    await read(on)
    later = 2_000
    const error = await failure(read(on))
    expect([error.code, error.message]).toEqual([
      'unauthenticated',
      expect.stringContaining('does not take the service account of the pod'),
    ])
    expect(fake.seen).toHaveLength(2)
    await file('token', fake.access.token())
    await read(on)
  })

  test('is still used while its file is being replaced', async () => {
    await file('ca.crt', fake.ca)
    await file('token', fake.access.token())
    const on = await opened({ auth: { method: 'in-cluster', folder } }, pod())
    await read(on)
    await rm(join(folder, 'token'))
    later = 60_000
    await read(on)
  })

  test('without its files, or with a file that is no token, says what is missing and not what is there', async () => {
    const none = await failure(read(await opened({ auth: { method: 'in-cluster', folder } }, pod())))
    expect([none.code, none.message]).toEqual(['unauthenticated', expect.stringContaining('token (ENOENT)')])
    await file('ca.crt', fake.ca)
    await file('token', 'canary and more')
    const odd = await failure(read(await opened({ auth: { method: 'in-cluster', folder } }, pod())))
    expect([odd.code, odd.message]).toEqual(['unauthenticated', expect.not.stringContaining('canary')])
    await file('token', 't')
    const outside = await failure(read(await opened({ auth: { method: 'in-cluster', folder } }, {})))
    expect(outside.message).toContain('this is no pod')
  })
})

describe('a kubeconfig', () => {
  test.each(['token', 'tokenFile', 'certificate', 'as'])('with a %s', async way => {
    const token = fake.access.token()
    await file('inner-token', `${token}\n`)
    await file('client.pem', testCertificates.client.cert)
    const users: Readonly<Record<string, object>> = {
      token: { token },
      tokenFile: { tokenFile: 'inner-token', token: 'the file counts' },
      certificate: { 'client-certificate': 'client.pem', 'client-key-data': Buffer.from(testCertificates.client.key).toString('base64') },
      as: { token: fake.admin, as: 'test-only-client' },
    }
    await read(await withKubeconfig({ user: users[way] ?? {} }))
    expect(fake.seen.at(-1)?.headers['impersonate-user']).toBe(way === 'as' ? 'test-only-client' : undefined)
  })

  test('is that of KUBECONFIG, merged as kubectl does, before the pod’s; else the one at home', async () => {
    const mine = fake.access.token()
    const one = await file('one', kubeconfig({ user: { token: mine } }))
    const two = await file(
      'two',
      kubeconfig({ name: 'two', user: { token: 'no' } }).replace('"name":"two","user":{', '"name":"one","user":{'),
    )
    await read(await opened({}, { ...pod(), KUBECONFIG: [join(folder, 'none'), one, two].join(delimiter) }))
    expect(bearers()).toEqual([mine])
    const absent = await failure(read(await opened({}, { HOME: folder })))
    expect([absent.code, absent.message]).toEqual(['unauthenticated', expect.stringContaining(join('.kube', 'config'))])
  })

  test('that a login tool writes anew is followed', async () => {
    const on = await withKubeconfig({ user: { token: fake.access.token({ endsInMs: 1_000 }) } })
    await read(on)
    later = 2_000
    await file('config', kubeconfig({ user: { token: fake.access.token() } }))
    await read(on)
  })

  test.each<[string, Parts, object, string]>([
    ['does not check certificates', { cluster: { 'insecure-skip-tls-verify': true } }, {}, 'does not check the server’s certificate'],
    ['speaks in the clear', { cluster: { server: 'http://kubernetes.example.com' } }, {}, 'everybody on the way'],
    ['has a password', { user: { username: 'u', password: 'canary' } }, {}, 'username, password'],
    ['logs in by a removed provider', { user: { 'auth-provider': { name: 'gcp' } } }, {}, 'auth-provider'],
    ['stands for groups', { user: { token: 'canary', 'as-groups': ['g'] } }, {}, 'as-groups'],
    ['stands for no name', { user: { token: 'canary', as: 'a\nb: c' } }, {}, 'as names nobody'],
    ['goes through socks', { cluster: { 'proxy-url': 'socks5://127.0.0.1:1' } }, {}, 'not one of http'],
    ['has no such context', { user: { token: 'canary' } }, { context: 'prod' }, 'no context "prod"'],
    ['runs a command', { user: { exec: { apiVersion: 'client.authentication.k8s.io/v1', command: 'aws' } } }, {}, 'runs the command "aws"'],
    [
      'runs another command',
      { user: { exec: { apiVersion: 'client.authentication.k8s.io/v1', command: 'sh' } } },
      { exec: ['aws'] },
      'runs the command "sh"',
    ],
    [
      'runs an old plugin',
      { user: { exec: { apiVersion: 'client.authentication.k8s.io/v1alpha1', command: 'aws' } } },
      { exec: ['aws'] },
      'not spoken',
    ],
  ])('that %s is refused', async (_, parts, more, why) => {
    const error = await failure(read(await withKubeconfig(parts, more)))
    expect([error.code, error.message]).toEqual(['invalid_argument', expect.stringContaining(why)])
    expect(`${error.message}${error.hint}`).not.toContain('canary')
    expect(fake.seen).toEqual([])
  })

  test('that is none is refused without a word of it', async () => {
    const error = await failure(read(await opened({ auth: { method: 'kubeconfig', file: await file('config', 'users: [canary: {') } })))
    expect([error.code, `${error.message}${error.stack}`]).toEqual(['invalid_argument', expect.not.stringContaining('canary')])
  })
})

describe('a credential plugin', () => {
  const plugin = async (script: string) => {
    const command = await file('plugin', `#!/bin/sh\n${script}\n`)
    await chmod(command, 0o700)
    const exec = {
      apiVersion: 'client.authentication.k8s.io/v1',
      command: './plugin',
      args: ['a b'],
      env: [{ name: 'WORD', value: 'given' }],
    }
    return { file: await file('config', kubeconfig({ user: { exec } })), exec: ['./plugin'] }
  }
  const say = (status: object) =>
    `echo '${JSON.stringify({ kind: 'ExecCredential', apiVersion: 'client.authentication.k8s.io/v1', status })}'`

  test('is run once, without Keyturn’s own variables, and again before its token ends', async () => {
    const expirationTimestamp = new Date(Date.now() + 60_000).toISOString()
    const auth = await plugin(
      `env > ${folder}/env; echo "$1" >> ${folder}/runs; ${say({ token: fake.access.token(), expirationTimestamp })}`,
    )
    const env = { PATH: process.env.PATH ?? '', KEYTURN_KEK_1: 'canary', OTHER: 'kept' }
    const on = await opened({ auth: { method: 'kubeconfig', ...auth } }, env)
    await Promise.all([read(on), read(on), read(on)])
    later = 30_000
    await read(on)
    expect(await readFile(join(folder, 'runs'), 'utf8')).toBe('a b\n')
    const given = await readFile(join(folder, 'env'), 'utf8')
    expect([given.includes('canary'), given.includes('OTHER=kept'), given.includes('WORD=given')]).toEqual([false, true, true])
    expect(given).toContain('"interactive":false')
    later = 55_000
    await read(on)
    expect(await readFile(join(folder, 'runs'), 'utf8')).toBe('a b\na b\n')
  })

  test('may give a certificate', async () => {
    await file(
      'answer',
      JSON.stringify({
        kind: 'ExecCredential',
        status: { clientCertificateData: testCertificates.client.cert, clientKeyData: testCertificates.client.key },
      }),
    )
    await read(
      await opened({ auth: { method: 'kubeconfig', ...(await plugin(`cat ${folder}/answer`)) } }, { PATH: process.env.PATH ?? '' }),
    )
  })

  test.each([
    ['echo canary >&2; exit 3', 'ended with 3'],
    ['echo canary', 'printed no JSON'],
    [`echo '{"kind":"ExecCredential","status":{"note":"canary"}}'`, 'neither a token nor a certificate'],
    ['head -c 400000 /dev/zero', 'ended with a signal'],
  ])('that does %s gave nothing', async (script, why) => {
    const error = await failure(
      read(await opened({ auth: { method: 'kubeconfig', ...(await plugin(script)) } }, { PATH: process.env.PATH ?? '' })),
    )
    expect([error.code, error.message]).toEqual(['unauthenticated', expect.stringContaining(why)])
    expect(`${error.message}${error.stack}${JSON.stringify(error)}`).not.toContain('canary')
  })
})

describe('a certificate', () => {
  test('that is replaced opens new connections', async () => {
    const [certFile, keyFile] = [await file('c', testCertificates.client.cert), await file('k', testCertificates.client.key)]
    const on = await opened({ address: fake.url, ca: fake.ca, auth: { method: 'certificate', certFile, keyFile } })
    for (let count = 0; count < 5; count += 1) await read(on)
    const before = fake.connections
    await read(on)
    expect(fake.connections).toBe(before)
    // the same certificate, in a file that was written anew
    await writeFile(certFile, `${testCertificates.client.cert}${testCertificates.ca}`)
    later = 11_000
    await read(on)
    expect(fake.connections).toBe(before + 1)
  })

  test('of nobody is ours to mend', async () => {
    const on = await opened({ address: fake.url, ca: fake.ca, auth: { method: 'token', token: 'none' } })
    expect((await failure(read(on))).code).toBe('unauthenticated')
  })
})
