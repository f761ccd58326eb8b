import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, constants } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.ts'

const startMs = 30_000
const stopMs = 10_000
const host = '127.0.0.1'

/** An emulator of AWS on a free port of the loopback, with nothing in it. Any credential will do. */
export interface AwsEmulator {
  readonly url: string
  stop(): Promise<void>
}

/** How one of them is started, and what answers once it is up. */
export interface Launch {
  readonly binary: string
  args(host: string, port: number): readonly string[]
  env(host: string, port: number): Readonly<Record<string, string>>
  readonly health: string
}

/** A program in the cache folder of servers; undefined when it is not there. */
export async function findInCache(path: string, env: NodeJS.ProcessEnv = process.env): Promise<string | undefined> {
  const file = join(env.KEYTURN_SERVERS ?? join(env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'keyturn-servers'), path)
  return access(file, constants.X_OK).then(
    () => file,
    () => undefined,
  )
}

/** Starts it, without our environment, and waits until it answers. */
export async function startEmulator({ binary, args, env, health }: Launch): Promise<AwsEmulator> {
  const port = await freePort()
  const own = { PATH: process.env.PATH, HOME: '/nonexistent', TMPDIR: tmpdir(), PYTHONDONTWRITEBYTECODE: '1' }
  const child = spawn(binary, args(host, port), { env: { ...own, ...env(host, port) }, stdio: ['ignore', 'ignore', 'pipe'] })
  let complaints = ''
  child.stderr.on('data', (text: Buffer) => {
    complaints = (complaints + text.toString()).slice(-2_000)
  })
  const url = `http://${host}:${port}`
  const until = Date.now() + startMs
  while (!(await answers(`${url}${health}`))) {
    if (child.exitCode !== null || Date.now() > until) {
      await stop(child)
      throw new Error(`${binary} does not answer (${child.exitCode ?? 'it runs'}): ${complaints}`)
    }
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  return { url, stop: () => stop(child) }
}

async function answers(url: string): Promise<boolean> {
  return fetch(url).then(
    async answer => {
      await answer.text()
      return answer.ok
    },
    () => false,
  )
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  const kill = setTimeout(() => child.kill('SIGKILL'), stopMs)
  await ended
  clearTimeout(kill)
}
