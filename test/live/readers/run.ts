import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'

/** How a program ended. */
export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program with nothing of our environment but PATH, gives it `input` and waits for its end. Values go by stdin, never by arguments. */
export async function run(program: string, args: readonly string[], env: Readonly<Record<string, string>>, input = ''): Promise<Ended> {
  const child = spawn(program, args, { env: { PATH: process.env.PATH, HOME: '/nonexistent', ...env }, stdio: 'pipe' })
  // one that ends without reading breaks the pipe, and its exit code says more
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  const ended = new Promise<number | null>((resolve, reject) => child.on('close', resolve).on('error', reject))
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), ended])
  return { code, stdout, stderr }
}
