import { processTerminal } from './process-terminal.ts'
import { run } from './program.ts'

// an older Node that started this one ends with it; when it was killed, nobody is left to forward a signal
if (process.channel) {
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
  process.channel.unref()
}

process.exitCode = await run(process.argv.slice(2), processTerminal())
