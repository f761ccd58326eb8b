import { describe, expect, test } from 'vitest'
import { options, targetOf } from './options.ts'

const complaints = (section: object) => {
  const read = options.safeParse(section)
  return read.success ? [] : read.error.issues.map(issue => issue.message)
}

describe('an endpoint', () => {
  test.each([
    ['127.0.0.1:9090', { host: '127.0.0.1', port: 9090, plain: true }],
    ['localhost:9090', { host: 'localhost', port: 9090, plain: true }],
    ['[::1]:9090', { host: '[::1]', port: 9090, plain: true }],
    ['http://127.0.0.1:80', { host: '127.0.0.1', port: 80, plain: true }],
    ['https://localhost:9090', { host: 'localhost', port: 9090, plain: false }],
    ['https://secretmanager-shop.p.googleapis.com', { host: 'secretmanager-shop.p.googleapis.com', port: 443, plain: false }],
    ['sm.internal.example.com:8443', { host: 'sm.internal.example.com', port: 8443, plain: false }],
  ])('%s', (text, target) => {
    expect(targetOf(text)).toEqual(target)
    expect(complaints({ endpoint: text })).toEqual([])
  })

  test.each([
    '',
    'localhost',
    'a b:1',
    'host:1/path',
    'https://u:p@host',
    'https://host/?x',
    'https://host#x',
    'ftp://host:1',
    'host:99999',
    'https://host/',
  ])('%j is none', text => {
    expect(complaints({ endpoint: text })).not.toEqual([])
  })

  test.each(['http://sm.example.com:80', 'http://10.0.0.1:9090', 'http://127.0.0.1.example.com:1', 'http://metadata.google.internal'])(
    '%s would be plaintext off the loopback',
    text => {
      expect(complaints({ endpoint: text })).toEqual([expect.stringContaining('loopback alone')])
    },
  )

  test('in plaintext takes no credential', () => {
    expect(complaints({ endpoint: '127.0.0.1:1', auth: { method: 'application-default' } })).toEqual([
      expect.stringContaining('in plaintext'),
    ])
    expect(complaints({ endpoint: 'https://127.0.0.1:1', auth: { method: 'application-default' } })).toEqual([])
  })
})

describe('a section', () => {
  test('needs nothing', () => {
    expect(options.parse({})).toEqual({ pageSize: 1_000, maxInFlight: 32 })
  })

  test.each([
    { method: 'application-default' },
    { method: 'metadata-server' },
    { method: 'service-account-key', keyFile: '/etc/key.json' },
    { method: 'workload-identity-federation', configFile: '/etc/wif.json' },
    { method: 'impersonation', serviceAccount: 'a@p.iam.gserviceaccount.com' },
    {
      method: 'impersonation',
      serviceAccount: 'a@p.iam.gserviceaccount.com',
      source: { method: 'metadata-server' },
      delegates: ['b@p.iam.gserviceaccount.com'],
    },
  ])('logs in by $method', auth => {
    expect(complaints({ auth })).toEqual([])
  })

  test.each([
    { auth: { method: 'token', token: 'x' } },
    { auth: { method: 'service-account-key' } },
    { auth: { method: 'service-account-key', keyFile: 'x', privateKey: 'y' } },
    { auth: { method: 'impersonation', serviceAccount: 'someone' } },
    { auth: { method: 'impersonation', serviceAccount: 'a@p.iam.gserviceaccount.com/../x' } },
    { auth: { method: 'impersonation', serviceAccount: 'a@p.iam.gserviceaccount.com', source: { method: 'impersonation' } } },
    { project: 'Shop' },
    { project: 'a/b' },
    { location: 'europe west' },
    { proxy: 'https://proxy.example.com' },
    { proxy: 'proxy:3128' },
    { replication: {} },
    { replication: { locations: [] } },
    { location: 'europe-west3', replication: { locations: ['europe-west3'] } },
    { maxInFlight: 0 },
    { pageSize: 25_001 },
    { unknown: 1 },
  ])('%j is refused', section => {
    expect(complaints(section)).not.toEqual([])
  })

  test('may not name a secret by what could be another path’s id', () => {
    expect(complaints({ secrets: [{ path: 'a---b' }] })).toEqual([expect.stringContaining('projects/PROJECT/secrets/a---b')])
    expect(complaints({ secrets: [{ path: 'projects/p/secrets/a---b' }, { path: 'a-b' }, { under: 'prod/' }] })).toEqual([])
  })
})
