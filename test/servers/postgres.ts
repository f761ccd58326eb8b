import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import { freePort } from './free-port.ts'

/** A real PostgreSQL on a free loopback port, its data in a temporary folder. */
export interface PostgresServer {
  /** As the superuser `postgres`, with its password. */
  readonly url: string
  /** As `postgresql 15.18`. */
  readonly version: string
  readonly port: number
  readonly data: string
  /** Ends it as a power switch would (`immediate`: recovery at the next start) or politely, and starts it again on the same port. */
  restart(how: 'immediate' | 'fast'): Promise<void>
  /** For good; its data go, too. */
  stop(how?: 'immediate' | 'fast'): Promise<void>
}

export interface Absent {
  readonly absent: string
}

export interface PostgresSettings {
  /** Lines of `postgresql.conf`, by name. */
  readonly settings?: Readonly<Record<string, string>>
}

/** Starts one, or says why there is none. */
export async function startPostgres({ settings = {} }: PostgresSettings = {}): Promise<PostgresServer | Absent> {
  const binaries = findBinaries()
  if (binaries === undefined) return { absent: 'no PostgreSQL: neither on PATH nor under /usr/lib/postgresql' }
  const account = accountOf('postgres')
  if (process.getuid?.() === 0 && account === undefined)
    return { absent: 'PostgreSQL refuses to run as root, and there is no user postgres' }
  const place = makePlace(account)
  const password = randomBytes(16).toString('hex')
  const port = await freePort()
  await initialise(binaries, place, account, password)
  return serve({ binaries, place, account, port, settings }, password)
}

/** A standby of a server, which streams from it; `pg_promote()` makes it take writes. */
export async function startStandby(primary: PostgresServer): Promise<PostgresServer> {
  const binaries = findBinaries()
  if (binaries === undefined) throw new Error('no PostgreSQL, though there was one')
  const account = accountOf('postgres')
  const place = makePlace(account)
  const port = await freePort()
  const args = ['-d', primary.url, '-D', place.data, '-R', '-X', 'stream', '-c', 'fast', '--no-sync']
  const [program, all] = command(join(binaries, 'pg_basebackup'), args, account)
  await promisify(execFile)(program, [...all], { env: environment })
  return serve({ binaries, place, account, port, settings: {} }, decodeURIComponent(new URL(primary.url).password))
}

interface Launch {
  readonly binaries: string
  readonly place: Place
  readonly account: Account | undefined
  readonly port: number
  readonly settings: Readonly<Record<string, string>>
}

async function serve(launching: Launch, password: string): Promise<PostgresServer> {
  const { binaries, place, account, port, settings } = launching
  const start = () => launch(binaries, place, account, port, settings)
  let server = await start()
  const url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`
  const stop = async (how: 'immediate' | 'fast') => {
    const ended = new Promise(done => server.once('exit', done))
    server.kill(how === 'immediate' ? 'SIGQUIT' : 'SIGINT')
    await ended
  }
  return {
    url,
    version: await versionOf(url),
    port,
    data: place.data,
    restart: async how => {
      await stop(how)
      server = await start()
    },
    stop: async (how = 'fast') => {
      await stop(how)
      rmSync(place.folder, { recursive: true })
    },
  }
}

interface Place {
  readonly folder: string
  readonly data: string
  readonly sockets: string
}

interface Account {
  readonly uid: number
  readonly gid: number
}

function findBinaries(): string | undefined {
  const installed = existsSync('/usr/lib/postgresql') ? readdirSync('/usr/lib/postgresql').sort((a, b) => Number(b) - Number(a)) : []
  const folders = [...(process.env.PATH ?? '').split(':'), ...installed.map(version => `/usr/lib/postgresql/${version}/bin`)]
  return folders.map(complete).find(folder => folder !== undefined) ?? install()
}

/** The folder that really holds both programs: links may lie where the server's own user cannot look. */
function complete(folder: string): string | undefined {
  if (folder === '' || !['initdb', 'postgres'].every(name => existsSync(join(folder, name)))) return undefined
  return dirname(realpathSync(join(folder, 'postgres')))
}

/** Beside a checkout there may be a script that installs databases and prints where. */
function install(): string | undefined {
  const script = resolve(import.meta.dirname, '../../../shared/servers/install-databases')
  if (!existsSync(script)) return undefined
  return complete(join(execFileSync(script, { encoding: 'utf8' }).trim(), 'bin'))
}

function accountOf(name: string): Account | undefined {
  if (process.getuid?.() !== 0) return undefined
  try {
    const id = (flag: string) => Number(execFileSync('id', [flag, name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
    return { uid: id('-u'), gid: id('-g') }
  } catch {
    return undefined
  }
}

function makePlace(account: Account | undefined): Place {
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-postgres-'))
  chmodSync(folder, 0o711)
  const place = { folder, data: join(folder, 'data'), sockets: join(folder, 'sockets') }
  for (const path of [place.data, place.sockets]) {
    mkdirSync(path, { mode: 0o700 })
    if (account !== undefined) chownSync(path, account.uid, account.gid)
  }
  return place
}

/** PostgreSQL refuses root. The program that changes the user becomes the server, so the pid is the server's. */
function command(program: string, args: readonly string[], account: Account | undefined): readonly [string, readonly string[]] {
  if (account === undefined) return [program, args]
  return ['setpriv', [`--reuid=${account.uid}`, `--regid=${account.gid}`, '--init-groups', program, ...args]]
}

const environment = { PATH: '/usr/sbin:/usr/bin:/bin', LC_ALL: 'C' }

async function initialise(binaries: string, place: Place, account: Account | undefined, password: string): Promise<void> {
  const file = join(place.sockets, 'password')
  writeFileSync(file, password, { mode: 0o600 })
  if (account !== undefined) chownSync(file, account.uid, account.gid)
  const args = ['-D', place.data, '-U', 'postgres', '-A', 'scram-sha-256', '--pwfile', file, '-E', 'UTF8', '--no-sync']
  const [program, all] = command(join(binaries, 'initdb'), args, account)
  await promisify(execFile)(program, [...all], { env: environment })
  rmSync(file)
}

async function launch(
  binaries: string,
  place: Place,
  account: Account | undefined,
  port: number,
  settings: Readonly<Record<string, string>>,
): Promise<ChildProcess> {
  const given = Object.entries({ listen_addresses: '127.0.0.1', ...settings }).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const args = ['-D', place.data, '-p', String(port), '-k', place.sockets, ...given]
  const [program, all] = command(join(binaries, 'postgres'), args, account)
  const server = spawn(program, [...all], { env: environment, stdio: ['ignore', 'ignore', 'pipe'] })
  const log: string[] = []
  server.stderr.setEncoding('utf8').on('data', (text: string) => log.push(text))
  // nothing of ours outlives the tests, however they end
  const end = () => server.kill('SIGQUIT')
  process.once('exit', end)
  server.once('exit', () => process.off('exit', end))
  for (let tries = 0; tries < 600; tries += 1) {
    if (server.exitCode !== null) throw new Error(`PostgreSQL did not start:\n${log.join('').slice(-2_000)}`)
    if (log.some(text => /ready to accept (read-only )?connections/.test(text))) {
      log.length = 0
      return server
    }
    await pause(50)
  }
  server.kill('SIGQUIT')
  throw new Error('PostgreSQL was not ready within 30 s')
}

async function versionOf(url: string): Promise<string> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query<{ server_version: string }>('show server_version')
    return `postgresql ${rows[0]?.server_version.split(' ')[0] ?? 'unknown'}`
  } finally {
    await client.end()
  }
}
