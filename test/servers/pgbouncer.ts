import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { freePort } from './free-port.ts'
import { pathFolders, programIn } from './programs.ts'
import { ServerProcess } from './server-process.ts'

/** A real PgBouncer in transaction mode before a server, with as few connections to it as show what is left behind on one. */
export interface PgBouncer {
  /** The address given, through it. */
  through(url: string): string
  /** As `pgbouncer 1.18.0`. */
  readonly version: string
  stop(): Promise<void>
}

/** Starts one for the users of these URLs, or says why there is none. */
export async function startPgBouncer(urls: readonly string[], poolSize = 4): Promise<PgBouncer | { readonly absent: string }> {
  const binary = await programIn([...pathFolders(process.env), '/usr/sbin'], 'pgbouncer')
  if (binary === undefined) return { absent: 'no pgbouncer: neither on PATH nor in /usr/sbin' }
  const [first] = urls.map(url => new URL(url))
  if (first === undefined) throw new Error('no server to put it before')
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-pgbouncer-'))
  const port = await freePort()
  const users = urls.map(url => new URL(url)).map(({ username, password }) => `"${username}" "${decodeURIComponent(password)}"\n`)
  writeFileSync(join(folder, 'users.txt'), users.join(''))
  writeFileSync(join(folder, 'pgbouncer.ini'), settings(folder, port, first, poolSize))
  // it refuses to run as root; the passwords are of a server that lives as long as this test
  chmodSync(folder, 0o755)
  const [program, args] = process.getuid?.() === 0 ? ['setpriv', ['--reuid=nobody', '--clear-groups', binary]] : [binary, []]
  const server = new ServerProcess(program, [...args, join(folder, 'pgbouncer.ini')])
  const through = (url: string) => Object.assign(new URL(url), { host: `127.0.0.1:${port}` }).href
  await server.answer(10_000, async () => {
    const client = new pg.Client({ connectionString: through(first.href) })
    await client.connect()
    await client.end()
    return true
  })
  const said = execFileSync(binary, ['--version'], { encoding: 'utf8' })
  return {
    through,
    version: `pgbouncer ${/(\d+\.\d+\.\d+)/.exec(said)?.[1] ?? 'unknown'}`,
    async stop() {
      await server.stop()
      rmSync(folder, { recursive: true })
    },
  }
}

const settings = (folder: string, port: number, { hostname, port: target }: URL, poolSize: number): string => `[databases]
* = host=${hostname} port=${target}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${folder}/users.txt
pool_mode = transaction
default_pool_size = ${poolSize}
max_client_conn = 500
`
