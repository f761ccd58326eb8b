import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import { runnable, serversFolder } from './programs.ts'
import { ServerProcess } from './server-process.ts'

const startMs = 30_000
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
export function findInCache(path: string, env: NodeJS.ProcessEnv = process.env): Promise<string | undefined> {
  return runnable(join(serversFolder(env), path))
}

/** Starts it, without our environment, and waits until it answers. */
export async function startEmulator({ binary, args, env, health }: Launch): Promise<AwsEmulator> {
  const port = await freePort()
  const own = { TMPDIR: tmpdir(), PYTHONDONTWRITEBYTECODE: '1', ...env(host, port) }
  const server = new ServerProcess(binary, args(host, port), own)
  const url = `http://${host}:${port}`
  await server.answer(startMs, async () => {
    const answer = await fetch(`${url}${health}`)
    await answer.text()
    return answer.ok || undefined
  })
  return { url, stop: () => server.stop() }
}
