import { Readable } from 'node:stream'
import type { BrokerDoor } from '../src/broker-door.ts'
import { openDoor } from '../src/broker-door.ts'
import { run, type Terminal } from '../src/index.ts'

export interface Ran {
  readonly code: number
  readonly out: string
  readonly bytes: Buffer
  readonly err: string
}

export interface Around {
  readonly env?: Record<string, string>
  readonly cwd?: string
  /** What is on stdin; a terminal when left out and `answers` are given. */
  readonly stdin?: string | Uint8Array
  /** A person's answers to prompts, in order; their presence makes all three streams a terminal. */
  readonly answers?: readonly (string | boolean)[]
  readonly columns?: number
  readonly door?: BrokerDoor
  readonly signal?: AbortSignal
  /** Sees what is written to stdout. */
  readonly tap?: (text: string) => void
}

/** Runs one command line as `keyturn` would, on a terminal that a test holds. */
export async function ran(argv: readonly string[], around: Around = {}): Promise<Ran> {
  const out: Buffer[] = []
  const answers = [...(around.answers ?? [])]
  let err = ''
  const isTerminal = around.answers !== undefined
  const terminal: Terminal = {
    env: around.env ?? {},
    cwd: around.cwd ?? process.cwd(),
    isTerminal: { stdin: isTerminal && around.stdin === undefined, stdout: isTerminal, stderr: isTerminal },
    columns: around.columns ?? 200,
    stdin: Readable.from(around.stdin === undefined ? [] : [Buffer.from(around.stdin)]),
    out: text => {
      out.push(Buffer.from(text))
      around.tap?.(Buffer.from(text).toString())
    },
    err: text => {
      err += text
    },
    askSecret: async () => String(answers.shift()),
    ask: async () => String(answers.shift()),
    confirm: async () => answers.shift() === true,
    onHangup: () => undefined,
    signal: around.signal ?? new AbortController().signal,
  }
  const { door } = around
  const code = await run(argv, terminal, door === undefined ? openDoor : async () => door)
  const bytes = Buffer.concat(out)
  return { code, out: bytes.toString(), bytes, err }
}
