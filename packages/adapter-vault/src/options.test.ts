import { describe, expect, test } from 'vitest'
import { options, sectionKv } from './options.ts'

const address = 'https://vault.example.com:8200'

describe('options', () => {
  test('take the section of the agentaskit deployment', () => {
    const section = options.parse({
      address,
      auth: { method: 'kubernetes', role: 'agentaskit-production' },
      secrets: [
        { path: 'secret/data/agentaskit/api-keys', key: 'api_key' },
        { path: 'secret/data/agentaskit/db-credentials', key: 'db_password' },
        { path: 'secret/data/agentaskit/jwt-signing', key: 'jwt_secret' },
      ],
    })
    expect(section.auth).toEqual({ method: 'kubernetes', role: 'agentaskit-production', mount: 'kubernetes' })
    expect(sectionKv(section)).toBe(2)
  })

  test.each([
    [{ secrets: [{ path: 'kv/app' }] }, 1],
    [{ secrets: [{ under: 'secret/data/app/' }] }, 2],
    [{ mount: 'team/kv', secrets: [{ path: 'team/kv/data/app' }] }, 2],
    [{ kv: 1, secrets: [{ path: 'kv/data/app' }] }, 1],
    [{}, 2],
  ])('with %j are of KV v%i', (more, kv) => {
    expect(sectionKv(options.parse({ address, ...more }))).toBe(kv)
  })

  test('refuse paths of both kinds in one section', () => {
    const { error } = options.safeParse({ address, secrets: [{ path: 'kv/app' }, { path: 'secret/data/app' }] })
    expect(error?.issues[0]?.message).toContain('make two sections')
  })

  test.each([
    {},
    { address: 'vault.example.com' },
    { address: 'ftp://vault.example.com' },
    { address: 'https://user:password@vault.example.com' },
    { address: 'https://vault.example.com/?x=1' },
    { address, adress: 'x' },
    { address, mount: '/secret/' },
    { address, mount: '../sys' },
    { address, kv: 3 },
    { address, maxInFlight: 0 },
    { address, auth: { method: 'oidc' } },
    { address, auth: { method: 'jwt', role: 'r' } },
    { address, auth: { method: 'jwt', role: 'r', token: 't', tokenFile: 'f' } },
    { address, namespace: '' },
    { address, namespace: '/admin' },
    { address, namespace: 'admin/' },
    { address, namespace: 'admin//team' },
    { address, namespace: 'admin/../root' },
    { address, namespace: 'admin/root' },
    { address, namespace: 'a b' },
    { address, namespace: 'a\r\nX-Vault-Token: t' },
    { address, namespace: 'caf\u00e9' },
    { address, namespace: 'a%2Fb' },
    { address, auth: { method: 'token', namespace: 'admin/' } },
    { address, auth: { method: 'kubernetes' } },
    { address, auth: { method: 'approle', roleId: 'r', secretId: 's', secretIdFile: 'f' } },
  ])('refuse %j', section => {
    expect(options.safeParse(section).success).toBe(false)
  })
})
