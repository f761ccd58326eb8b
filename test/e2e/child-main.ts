/** A broker on the config of its first argument, until SIGTERM: what the command line does, without the command line. */
import process from 'node:process'
import { serve } from '@keyturn/broker'

const running = await serve({ config: process.argv[2] ?? 'keyturn.yaml', cwd: process.cwd(), env: process.env })
process.once('SIGTERM', () => void running.stop())
