import { createSecretKey } from 'node:crypto'
import { writeSync } from 'node:fs'
import { BrokerError, SecretValue } from '@keyturn/core'
import { Keyring } from '@keyturn/envelope'
import { open } from '../src/store.ts'
import { at, intent, options, scratchContext } from './scratch.ts'

// A broker's process in small: opens the store in argv[2] and says so, or how it was refused; with `write` in argv[3] it writes versions until it is killed,
// and says each one that was acknowledged.
const [, , data = '', doing = 'hold'] = process.argv
process.umask(0)
const key = createSecretKey(Buffer.from(process.env.KEK ?? '', 'hex'))
const say = (line: string) => writeSync(1, `${line}\n`)
const keyring = new Keyring({ keks: new Map([['k1', key]]), current: 'k1' })
const adapter = await open(options, scratchContext(data), { keyring }).catch((error: unknown) => {
  say(error instanceof BrokerError ? error.code : 'it failed')
  process.exit(1)
})
say('open')
if (doing === 'write') {
  for (let count = 1; ; count++) {
    await adapter.write(at('app/counter'), SecretValue.text(`value ${count}`), intent())
    say(`${count}`)
  }
}
setInterval(() => undefined, 1000)
