import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

/** Opens a section that names no endpoint, and reads: what the SDK looks up of its own shows in a process of its own. */
const program = `
  import { open, options } from '@keyturn/adapter-aws'
  const [proxy, method] = process.argv.slice(-2)
  const keys = { method: 'static', accessKeyId: 'AKIA1', secretAccessKey: 'x' }
  const auth = method === 'static' ? keys : { method, roleArn: 'arn:aws:iam::123456789012:role/app', source: keys }
  const section = options.parse({ region: 'eu-central-1', proxy, auth })
  const store = await open(section, { clock: { now: () => new Date() } }, { env: {} })
  await store.read('app', { signal: AbortSignal.timeout(10000) }).catch(() => undefined)
  await store.close()`

test.each([
  ['static', 'secretsmanager'],
  ['assume-role', 'sts'],
])('an address that the SDK finds in ~/.aws or in the environment of the process is not asked: auth %s', async (method, service) => {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(`elsewhere: ${request.method} ${request.headers.host}`)
    response.writeHead(403).end()
  })
  server.on('connect', (request, socket) => {
    asked.push(String(request.url))
    socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const home = await mkdtemp(join(tmpdir(), 'keyturn-aws-home-'))
  try {
    await mkdir(join(home, '.aws'))
    await writeFile(join(home, '.aws', 'config'), `[default]\nendpoint_url = ${address}\nuse_fips_endpoint = true\n`)
    await promisify(execFile)(
      process.execPath,
      ['--conditions=@keyturn/source', '--input-type=module', '-e', program, '--', address, method],
      { env: { PATH: process.env.PATH, HOME: home, AWS_ENDPOINT_URL: address }, cwd: import.meta.dirname },
    )
    expect(asked).toEqual([`${service}.eu-central-1.amazonaws.com:443`])
  } finally {
    await rm(home, { recursive: true })
    server.closeAllConnections()
    server.close()
  }
})
