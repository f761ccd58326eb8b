import { execFile } from 'node:child_process'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { testCertificates } from '../fakes/tls/certificates.ts'

/** Sections without their address, under which key it stands, and what is read. */
const cases = [
  ['aws', { region: 'eu-central-1', auth: { method: 'static', accessKeyId: 'AKIA1', secretAccessKey: 'x' } }, 'endpoint', 'app'],
  [
    'azure',
    { verifyChallenge: false, auth: { method: 'client-secret', tenantId: 't', clientId: 'app', clientSecret: 'x' } },
    'vault',
    'app',
  ],
  ['kubernetes', { auth: { method: 'token', token: 'x' } }, 'address', 'shop/app'],
  ['vault', { auth: { method: 'token', token: 'x' } }, 'address', 'kv/data/app'],
] as const

/** In a process of its own, which is told to take any certificate. */
const program = `
  const [kind, json, path] = process.argv.slice(-3)
  const { open } = await import('@keyturn/adapter-' + kind)
  const { options } = await import('@keyturn/adapter-' + kind + '/options')
  const { testContext } = await import('@keyturn/conformance')
  const store = await open(options.parse(JSON.parse(json)), testContext(kind), { env: {} })
  const code = await store.read(path, { signal: AbortSignal.timeout(10000) }).then(() => 'read', error => store.classify(error).code)
  await store.close()
  console.log(code)`

test.each(cases)('%s: a certificate is checked, whatever NODE_TLS_REJECT_UNAUTHORIZED says', async (kind, section, key, path) => {
  let asked = 0
  const server = createServer(testCertificates.server, (_, response) => {
    asked += 1
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = `https://localhost:${(server.address() as AddressInfo).port}`
  try {
    const told = JSON.stringify({ ...section, [key]: address })
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--no-warnings', '--conditions=@keyturn/source', '--input-type=module', '-e', program, '--', kind, told, path],
      { env: { PATH: process.env.PATH, NODE_TLS_REJECT_UNAUTHORIZED: '0' }, cwd: import.meta.dirname },
    )
    expect([stdout.trim(), asked]).toEqual(['unavailable', 0])
  } finally {
    server.closeAllConnections()
    server.close()
  }
})
