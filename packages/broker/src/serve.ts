import { makeLog } from './log.ts'
import { type RunningBroker, startBroker } from './start.ts'

/** What `serve` takes from the process. */
export interface ServeOptions {
  /** The config file. */
  readonly config: string
  readonly cwd: string
  readonly env: NodeJS.ProcessEnv
}

/** Starts the broker of this process: logs on stderr, and what nobody caught is logged and survived. Errors: `ConfigError` and `BrokerError`, before it answers. */
export async function serve(options: ServeOptions): Promise<RunningBroker> {
  // whoever reads the log may go away, and the broker goes on; unheard, each failed line would be an error to log
  process.stderr.on('error', () => undefined)
  const log = makeLog(options.env, { write: line => process.stderr.write(line) })
  const running = await startBroker({ ...options, log })
  const hangUp = () => {
    log.info('SIGHUP: the keys are read again; the rest of the config needs a restart')
    void running.reloadKeys()
  }
  process.on('SIGHUP', hangUp)
  const forget = catchLast(where => log.fatal(where, 'an error that nobody caught; the broker goes on'))
  return {
    ...running,
    async stop() {
      await running.stop()
      process.off('SIGHUP', hangUp)
      forget()
    },
  }
}

/** What nobody caught is told without its message, which may hold anything. */
function catchLast(tell: (where: { readonly name: string; readonly at: readonly string[] }) => void): () => void {
  const heard = (error: unknown) => {
    const { name, stack = '' } = error instanceof Error ? error : new Error()
    const frames = stack.split('\n').filter(line => /^\s+at /.test(line))
    tell({ name, at: frames.slice(0, 8).map(line => line.trim()) })
  }
  process.on('uncaughtException', heard)
  process.on('unhandledRejection', heard)
  return () => {
    process.off('uncaughtException', heard)
    process.off('unhandledRejection', heard)
  }
}
