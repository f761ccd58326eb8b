import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'

/** What a worker says of itself. */
export interface Said {
  readonly holder: string
  readonly ready?: true
  readonly claimed?: string
  readonly recorded?: string
  readonly epoch?: number
  readonly state?: string
  readonly abandoned?: boolean
  readonly failed?: string
}

/** Another process that works on the ledger, until it is told to end. */
export interface Worker {
  readonly said: readonly Said[]
  readonly child: ChildProcess
  /** Resolves once it has said something like this. */
  until(matches: (said: Said) => boolean): Promise<Said>
  end(): Promise<void>
}

export function startWorker(url: string, holder: string, { leaseMs = 5_000, stepMs = 0 } = {}): Worker {
  const program = join(import.meta.dirname, 'working.ts')
  const child = spawn(process.execPath, ['--conditions=@keyturn/source', program, url, holder, String(leaseMs), String(stepMs)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const said: Said[] = []
  const waiting = new Set<() => void>()
  const ended = new Promise<void>((done, fail) => child.once('close', () => done()).once('error', fail))
  let rest = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    said.push(...lines.map(line => JSON.parse(line) as Said))
    for (const look of waiting) look()
  })
  const until = (matches: (said: Said) => boolean) =>
    new Promise<Said>((done, fail) => {
      const look = () => {
        const found = said.find(matches)
        if (found !== undefined) done(found)
      }
      waiting.add(look)
      look()
      child.once('close', () => fail(new Error(`worker ${holder} ended before it said so`)))
    })
  const end = async () => {
    child.stdin.end()
    child.kill('SIGCONT')
    await ended
  }
  return { said, child, until, end }
}
