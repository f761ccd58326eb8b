/** A broker on the config of its first argument that says which instance it is, so that whoever kills it can say that it is gone. */
import { randomBytes, randomUUID } from 'node:crypto'
import process from 'node:process'
import { makeLog, startBroker } from '@keyturn/broker'

const instanceBytes = 6
const random = {
  bytes: (count: number) => {
    const bytes = randomBytes(count)
    if (count === instanceBytes) process.stdout.write(`instance broker_${bytes.toString('hex')}\n`)
    return bytes
  },
  uuid: () => randomUUID(),
}
const log = makeLog(process.env, { write: line => process.stderr.write(line) })
const running = await startBroker({ config: process.argv[2] ?? 'keyturn.yaml', cwd: process.cwd(), env: process.env, random, log })
process.once('SIGTERM', () => void running.stop())
