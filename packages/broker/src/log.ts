import { BrokerError } from '@keyturn/core'
import { type DestinationStream, type Logger, pino } from 'pino'

/** Structured logs, one JSON object a line: what is logged is named at each place, and is a name, a code or a count. */
export function makeLog(env: NodeJS.ProcessEnv, to: DestinationStream): Logger {
  const level = env.KEYTURN_LOG_LEVEL ?? 'info'
  if (!Object.hasOwn(pino.levels.values, level) && level !== 'silent') {
    throw new BrokerError('invalid_argument', 'KEYTURN_LOG_LEVEL is none of trace, debug, info, warn, error, fatal, silent')
  }
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: label => ({ level: label }) } }, to)
}
