import { BrokerError } from '@keyturn/core'
import type { Terminal } from './terminal.ts'

/** Loaded by whoever asks something: most commands do not. */
const prompts = () => import('@clack/prompts')

/** The terminal of this process. */
export function processTerminal(): Terminal {
  const { stdin, stdout, stderr } = process
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort(signal))
  // a reader such as `head` that has enough is no error
  stdout.on('error', error => {
    if ('code' in error && error.code === 'EPIPE') process.exit(0)
    throw error
  })
  return {
    env: process.env,
    cwd: process.cwd(),
    isTerminal: { stdin: stdin.isTTY === true, stdout: stdout.isTTY === true, stderr: stderr.isTTY === true },
    columns: stdout.columns || 80,
    stdin,
    out: text => void stdout.write(text),
    err: text => void stderr.write(text),
    askSecret: async message => {
      const { isCancel, password } = await prompts()
      const answer = await password({ message, mask: '', output: stderr, withGuide: false })
      if (isCancel(answer)) throw new BrokerError('cancelled', 'nothing was entered')
      return answer
    },
    ask: async message => {
      const { isCancel, text } = await prompts()
      const answer = await text({ message, output: stderr, withGuide: false })
      if (isCancel(answer)) throw new BrokerError('cancelled', 'nothing was entered')
      return answer ?? ''
    },
    confirm: async message => {
      const { confirm } = await prompts()
      const answer = await confirm({ message, initialValue: false, output: stderr, withGuide: false })
      return answer === true
    },
    onHangup: act => {
      process.on('SIGHUP', act)
    },
    signal: stop.signal,
  }
}
