import { readFile } from 'node:fs/promises'
import { isAbsolute, relative, resolve } from 'node:path'
import { type Config, loadConfig } from '@keyturn/config'
import { BrokerError, type Clock, type Random } from '@keyturn/core'
import type { Logger } from 'pino'
import { makeApp } from './app.ts'
import { firstToken } from './auth/first-token.ts'
import { systemClock } from './clock.ts'
import { kinds } from './compose.ts'
import { type Listening, listen } from './listen.ts'
import { openBroker } from './open.ts'
import { pooledRandom } from './random.ts'
import { version } from './version.ts'

/** How long running requests and rotations have to come to an end: less than what supervisors wait before they kill. */
const stopWithinMs = 25_000

/** What a broker starts with; clock and random are the system's when left out. */
export interface StartOptions {
  /** The config file. */
  readonly config: string
  readonly cwd: string
  readonly env: NodeJS.ProcessEnv
  readonly clock?: Clock
  readonly random?: Random
  readonly log: Logger
}

/** A broker that answers. */
export interface RunningBroker {
  /** `http://host:port` */
  readonly address: string
  readonly config: Config
  /** Where the first admin token was left. */
  readonly tokenFile: string
  /** Asks the provider of the keys again; nothing else of the config is read again. Never throws: the log has what was wrong. */
  reloadKeys(): Promise<void>
  /** Stops accepting, finishes what runs, signs off. Twice is once. */
  stop(): Promise<void>
}

/** Reads a config as this build does. Throws `ConfigError` with everything that is wrong. */
export async function readConfig(options: Pick<StartOptions, 'config' | 'cwd' | 'env'>): Promise<Config> {
  const { cwd, env } = options
  const file = resolve(cwd, options.config)
  // complaints name the file as a person would type it
  const near = relative(cwd, file)
  const shown = near.startsWith('..') || isAbsolute(near) ? file : near
  return loadConfig(shown, { env, kinds: await kinds(), reader: { read: path => readFile(resolve(cwd, path)) }, cwd })
}

/** Starts the broker and its worker. Errors: `ConfigError`, and `BrokerError` for what keeps it from starting, with a hint. */
export async function startBroker(options: StartOptions): Promise<RunningBroker> {
  const { env, clock = systemClock, random = pooledRandom() } = options
  const config = await readConfig(options)
  mustBePrivateEnough(config)
  const { log } = options
  for (const { message, at } of config.warnings) log.warn({ at: `${at.file}:${at.line}:${at.column}` }, message)
  const opened = await openBroker({ config, kinds: await kinds(), env, clock, random, log, version })
  let listening: Listening
  let tokenFile: string
  try {
    tokenFile = await firstToken(opened.broker, config.broker.data)
    listening = await listen(opened.broker, makeApp(opened.broker), config.broker.listen)
  } catch (error) {
    await opened.close(0)
    throw error
  }
  opened.worker.start()
  log.info({ address: listening.address, data: config.broker.data, secrets: config.secrets.size }, 'serving')
  let stopping: Promise<void> | undefined
  const stop = async () => {
    const begun = clock.now().getTime()
    log.info('stopping')
    await within(clock, stopWithinMs, Promise.all([listening.stop(), opened.worker.stop(stopWithinMs)]))
    await opened.close(Math.max(0, stopWithinMs - (clock.now().getTime() - begun)))
    log.info('stopped')
  }
  return {
    address: listening.address,
    config,
    tokenFile,
    reloadKeys: () => opened.broker.life.reload(),
    stop: () => {
      stopping ??= stop()
      return stopping
    },
  }
}

function mustBePrivateEnough({ broker: { listen: address, allow } }: Config): void {
  const local = address.host === 'localhost' || address.host === '::1' || /^127\./.test(address.host)
  if (local || allow.includes('plaintext-admin')) return
  throw new BrokerError('invalid_argument', `plain HTTP on ${address.host} would carry tokens and secrets in clear`, {
    hint: 'listen on 127.0.0.1 behind a TLS proxy, or write broker: { allow: [plaintext-admin] }',
  })
}

async function within(clock: Clock, ms: number, act: Promise<unknown>): Promise<void> {
  let cancel: () => void = () => undefined
  const late = new Promise<void>(resolve => {
    cancel = clock.after(ms, resolve)
  })
  await Promise.race([act.then(() => undefined), late])
  cancel()
}
