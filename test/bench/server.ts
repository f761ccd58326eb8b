import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import process from 'node:process'

/** A server in a process of its own, on the first core; the load is on the second. */
export class MeasuredServer {
  readonly #child: ChildProcess
  readonly url: string

  private constructor(child: ChildProcess, url: string) {
    this.#child = child
    this.url = url
  }

  /** Starts a module with arguments, and waits until `url` answers. */
  static async start(args: readonly string[], url: string): Promise<MeasuredServer> {
    const child = spawn(process.execPath, ['--conditions=@keyturn/source', ...args], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, KEYTURN_LOG_LEVEL: 'error' },
    })
    pin(child.pid, 0)
    const deadline = performance.now() + 30_000
    while (performance.now() < deadline) {
      if (child.exitCode !== null) break
      const answered = await fetch(url, { signal: AbortSignal.timeout(1_000) }).then(
        () => true,
        () => false,
      )
      if (answered) return new MeasuredServer(child, url)
      await new Promise(resolve => setTimeout(resolve, 50))
    }
    child.kill()
    throw new Error(`${args.join(' ')} did not answer at ${url}`)
  }

  /** Seconds of processor time so far (proc(5): fields 14 and 15 of stat, in ticks of 10 ms). */
  cpuSeconds(): number {
    const fields = readFileSync(`/proc/${this.#child.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
    return (Number(fields[11]) + Number(fields[12])) / 100
  }

  async stop(): Promise<void> {
    const ended = new Promise(resolve => this.#child.once('exit', resolve))
    this.#child.kill('SIGTERM')
    await ended
  }
}

/** Binds a process to one core, where the system has a tool for it. */
export function pin(pid: number | undefined, core: number): void {
  try {
    execFileSync('taskset', ['-acp', String(core), String(pid)], { stdio: 'ignore' })
  } catch {
    process.stderr.write('no taskset here: server and load share the cores, and ratios are rougher\n')
  }
}
