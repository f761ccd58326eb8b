import { describe, expect, test } from 'vitest'
import { options } from './index.ts'

const vault = 'https://shop-prod.vault.azure.net'
const wrong = (section: object) =>
  options
    .safeParse(section)
    .error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
    .join('\n')

describe('an azure section', () => {
  test('is a vault and nothing more', () => {
    expect(options.parse({ vault: `${vault}/` })).toEqual({ vault, verifyChallenge: true, maxInFlight: 32 })
  })

  test.each([
    { method: 'client-secret', tenantId: 't', clientId: 'c', clientSecret: 's' },
    { method: 'client-secret', tenantId: 'contoso.onmicrosoft.com', clientId: 'c', clientSecretFile: '/run/secret' },
    { method: 'client-certificate', tenantId: 't', clientId: 'c', certificateFile: '/run/app.pem', sendCertificateChain: true },
    { method: 'workload-identity' },
    { method: 'workload-identity', tenantId: 't', clientId: 'c', tokenFile: '/var/run/secrets/azure/tokens/azure-identity-token' },
    { method: 'managed-identity' },
    { method: 'managed-identity', clientId: 'c' },
    { method: 'cli', tenantId: 't' },
  ])('logs in by %j', auth => {
    expect(wrong({ vault, auth })).toBeUndefined()
  })

  test.each([['https://a-vault.vault.azure.net'], ['https://a-vault.vault.azure.cn'], ['https://a-vault.vault.usgovcloudapi.net']])(
    'takes %s',
    each => {
      expect(options.parse({ vault: each }).vault).toBe(each)
    },
  )

  test.each([
    [{ vault: 'http://shop.vault.azure.net' }, 'a vault is a URL'],
    [{ vault: 'shop' }, 'a vault is a URL'],
    [{ vault: `${vault}/secrets` }, 'no path'],
    [{ vault: 'https://user@shop.vault.azure.net' }, 'no path, user'],
    [{ vault: 'https://vault.azure.net.example.com' }, 'not the host of a vault'],
    [{ vault: 'https://shop.vault.azure.net.example.com' }, 'not the host of a vault'],
    [{ vault: 'https://shop.vault.azure.net:8443' }, 'not the host of a vault'],
    [{ vault, verifyChallenge: false }, 'leave this out'],
    [{ vault, authority: 'http://login.example.com' }, 'an authority is a URL'],
    [{ vault, auth: { method: 'client-secret', tenantId: 't', clientId: 'c' } }, 'clientSecret or clientSecretFile'],
    [{ vault, auth: { method: 'managed-identity', clientId: 'c', objectId: 'o' } }, 'one of clientId'],
    [{ vault, auth: { method: 'default' } }, 'auth.method'],
    [{ vault, maxInFlight: 0 }, 'maxInFlight'],
    [{ vault, colour: 'blue' }, 'colour'],
    [{ vault, secrets: [{ path: 'OrdersDb' }, { path: 'ordersdb' }] }, 'azure takes "OrdersDb" and "ordersdb" for one secret'],
  ])('%j is refused', (section, why) => {
    expect(wrong(section)).toContain(why)
  })

  test('takes paths that escaping keeps apart, the same path twice, and prefixes', () => {
    expect(
      wrong({
        vault,
        secrets: [{ path: 'shop/Orders' }, { path: 'shop/orders' }, { path: 'shop/orders' }, { path: 'shop/' }, { under: 'shop/' }],
      }),
    ).toBeUndefined()
  })
})
