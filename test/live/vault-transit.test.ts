import { openVaultTransit } from '@keyturn/kek-vault-transit'
import { afterAll, describe, expect, test } from 'vitest'
import { wrapperChecks } from '../contract/kek-wrapper.ts'
import { findOpenBao, type OpenBao, startOpenBao } from '../servers/openbao.ts'
import { tally, tell } from './tell.ts'

const binary = await findOpenBao()
const server = binary === undefined ? undefined : await startOpenBao(binary)
const counts = tally()
const absent = 'no bao or vault on PATH, and KEYTURN_TEST_BAO is not set'
const clock = { now: () => new Date(), after: () => () => undefined }
const live = () => new AbortController().signal

afterAll(async () => {
  const name = server === undefined ? { server: 'openbao', absent } : { server: `openbao ${server.version}` }
  await tell({ adapter: 'kek-vault-transit', ...name, ...counts })
  await server?.stop()
})

if (server === undefined) test.skip(`vault-transit (absent: ${absent})`, () => {})
else suite(server)

function suite(bao: OpenBao): void {
  const mounted = bao.api('POST', 'sys/mounts/transit', { type: 'transit' })
  let count = 0

  const at = (key: string, token = bao.rootToken, address = bao.url) =>
    openVaultTransit({ address, mount: 'transit', key, token, authMount: 'kubernetes' }, { env: {}, clock })

  async function subject() {
    await mounted
    count += 1
    const [key, other] = [`keyturn${count}`, `other${count}`]
    for (const name of [key, other]) await bao.api('POST', `transit/keys/${name}`, { type: 'aes256-gcm96' })
    return {
      wrapper: at(key),
      key: `transit/${key}:v1`,
      other: { wrapper: at(other), key: `transit/${other}:v1` },
      unreachable: at(key, bao.rootToken, 'http://127.0.0.1:1'),
      credential: bao.rootToken,
      name: key,
      async rotate() {
        await bao.api('POST', `transit/keys/${key}/rotate`)
        return `transit/${key}:v2`
      },
    }
  }

  describe('the contract of wrappers', () => {
    test.each(wrapperChecks.filter(({ turns }) => !turns).map(check => [check.title, check] as const))('%s', async (_title, check) => {
      const each = await subject()
      await check.run(each)
      await each.wrapper.close()
    })
  })

  const context = { ledgerId: 'l', kekId: 'k1' }

  test('the policy of the documents is enough, and lets nothing be made or exported', async () => {
    const { wrapper, name } = await subject()
    await wrapper.close()
    const policy = [
      'keys/NAME" { capabilities = ["read"] }',
      'encrypt/NAME" { capabilities = ["update"] }',
      'decrypt/NAME" { capabilities = ["update"] }',
    ]
    const text = policy.map(line => `path "transit/${line.replace('NAME', name)}`).join('\n')
    await bao.api('PUT', 'sys/policies/acl/keyturn', { policy: text })
    const made = (await bao.api('POST', 'auth/token/create', { policies: ['keyturn'], ttl: '1h' })) as { auth: { client_token: string } }
    const least = at(name, made.auth.client_token)
    const wrapped = await least.wrap(Buffer.alloc(32, 7), context, live())
    expect(await least.unwrap(wrapped, context, live())).toHaveLength(32)
    expect((await least.examine(live())).filter(({ ok }) => !ok)).toEqual([])
    await expect(at('new-one', made.auth.client_token).wrap(Buffer.alloc(32, 7), context, live())).rejects.toMatchObject({
      code: 'permission_denied',
    })
    await least.close()
  })

  test('a version that may open nothing any more, and a key that was deleted', async () => {
    const { wrapper, name, rotate } = await subject()
    const wrapped = await wrapper.wrap(Buffer.alloc(32, 7), context, live())
    await rotate()
    await bao.api('POST', `transit/keys/${name}/config`, { min_decryption_version: 2, deletion_allowed: true })
    await expect(wrapper.unwrap(wrapped, context, live())).rejects.toMatchObject({ code: 'precondition_failed' })
    await bao.api('DELETE', `transit/keys/${name}`)
    await expect(wrapper.unwrap(wrapped, context, live())).rejects.toMatchObject({ code: 'not_found' })
    expect((await wrapper.examine(live()))[0]).toMatchObject({ ok: false, code: 'not_found' })
    await wrapper.close()
  })

  test('a key that binds nothing, and one that is derived, are refused', async () => {
    await mounted
    await bao.api('POST', 'transit/keys/rsa', { type: 'rsa-2048' })
    await bao.api('POST', 'transit/keys/derived', { type: 'aes256-gcm96', derived: true })
    for (const key of ['rsa', 'derived']) {
      const wrapper = at(key)
      await expect(wrapper.wrap(Buffer.alloc(32, 7), context, live())).rejects.toMatchObject({ code: 'invalid_argument' })
      await wrapper.close()
    }
  })

  test('a token that ended is told as that', async () => {
    const { wrapper, name } = await subject()
    await wrapper.close()
    const made = (await bao.api('POST', 'auth/token/create', { policies: ['default'], ttl: '1h' })) as { auth: { client_token: string } }
    await bao.api('POST', 'auth/token/revoke', { token: made.auth.client_token })
    await expect(at(name, made.auth.client_token).newest(live())).rejects.toMatchObject({ code: 'unauthenticated' })
  })
}
