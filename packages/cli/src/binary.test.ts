import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SecretValue } from '@keyturn/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SmallBroker } from '../../client/test/small-broker.ts'

const binary = fileURLToPath(new URL('../bin/keyturn.mjs', import.meta.url))
/** Takes away what newer Nodes have, so that the way of an older one is gone. */
const asOlder = ['--import', 'data:text/javascript,delete process.execve']

interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly out: string
  readonly err: string
}

function start(args: readonly string[], options: { env?: Record<string, string>; node?: readonly string[]; stdin?: string } = {}) {
  const child = spawn(process.execPath, [...(options.node ?? []), binary, ...args], { env: { PATH: process.env.PATH, ...options.env } })
  const seen = { out: '', err: '' }
  child.stdout.on('data', chunk => {
    seen.out += chunk
  })
  child.stderr.on('data', chunk => {
    seen.err += chunk
  })
  child.stdin.end(options.stdin ?? '')
  const ended = new Promise<Ended>(resolve => child.on('close', (code, signal) => resolve({ code, signal, ...seen })))
  return { child, seen, ended }
}

describe('the program', () => {
  let broker: SmallBroker
  let env: Record<string, string>

  beforeAll(async () => {
    broker = await SmallBroker.start({ 'app/key': SecretValue.bytes(Buffer.from('a\u0000b')) })
    env = { KEYTURN_ADDR: broker.address, KEYTURN_TOKEN: broker.token }
  })
  afterAll(() => broker.stop())

  it('keeps results and all else apart, and ends with the code of the command', async () => {
    const [got, absent, misused] = await Promise.all([
      start(['get', 'app/key'], { env }).ended,
      start(['get', 'none'], { env, node: asOlder }).ended,
      start(['get'], { env }).ended,
    ])
    expect(got).toEqual({ code: 0, signal: null, out: 'a\u0000b', err: '' })
    expect(absent).toEqual({ code: 4, signal: null, out: '', err: expect.stringContaining('none does not exist') })
    expect(misused).toEqual({ code: 2, signal: null, out: '', err: expect.stringContaining('missing required argument') })
  })

  it('passes stdin on as it is', async () => {
    expect(await start(['set', 'new/key'], { env, stdin: 'line\n', node: asOlder }).ended).toMatchObject({ code: 0, out: '' })
    expect(JSON.parse(broker.requests.at(-1)?.body ?? '')).toEqual({ value: 'line\n' })
  })
})

describe('serve', () => {
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-cli-serve-'))
  const running: ChildProcess[] = []

  beforeAll(() => {
    writeFileSync(
      join(folder, 'keyturn.yaml'),
      'broker: { listen: "127.0.0.1:0", data: data }\ndatabase: {}\nsecrets: { demo/one: { type: service-token } }\n',
    )
  })
  afterAll(() => {
    for (const child of running) child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  })

  const args = ['serve', '--config', join(folder, 'keyturn.yaml')]
  const env = { KEYTURN_DATA: join(folder, 'data') }

  async function served(node: readonly string[]) {
    const serving = start(args, { env, node })
    running.push(serving.child)
    await expect.poll(() => serving.seen.out, { timeout: 20_000, interval: 20 }).toContain('status --watch')
    const address = /answers at (\S+)/.exec(serving.seen.out)?.[1] ?? ''
    return { ...serving, address }
  }

  it('says where it is and what to try, refuses a second one, and stops in order', async () => {
    const { child, seen, ended, address } = await served(asOlder)
    expect((await fetch(`${address}/readyz`)).status).toBe(200)
    expect(seen.out).toContain(`The admin token is in ${join(folder, 'data', 'admin.token')}`)
    expect(seen.out).toContain('get demo/one')
    expect(await start(args, { env }).ended).toMatchObject({ code: 5, out: '' })
    child.kill('SIGTERM')
    expect(await ended).toMatchObject({ code: 0, signal: null })
    await expect(fetch(`${address}/readyz`)).rejects.toThrow()
  })

  it('leaves nothing running when it is killed, and nothing of it is lost', async () => {
    const { child, ended, address } = await served(asOlder)
    child.kill('SIGKILL')
    await ended
    await expect
      .poll(
        () =>
          fetch(`${address}/readyz`).then(
            () => 'up',
            () => 'down',
          ),
        { timeout: 5000 },
      )
      .toBe('down')
    const verified = await start(['audit', 'verify', '--config', join(folder, 'keyturn.yaml')], { env }).ended
    expect(verified).toMatchObject({ code: 0, out: expect.stringMatching(/^ok/) })
    expect(readFileSync(join(folder, 'data', 'audit.jsonl'), 'utf8')).toContain('audit.opened')
  })
})
