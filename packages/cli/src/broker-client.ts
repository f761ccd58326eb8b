import { BrokerAdmin, type ConnectionOptions, KeyturnClient } from '@keyturn/client'
import type { Terminal } from './terminal.ts'

export interface BrokerOptions {
  readonly tokenFile?: string
}

/** The broker at `KEYTURN_ADDR`, with the token of `--token-file` or `KEYTURN_TOKEN`. `untilDone`: a call that was sent is waited for, also when the command is to end. */
export function brokerClient(terminal: Terminal, options: BrokerOptions, { untilDone = false } = {}): KeyturnClient {
  const { signal, ...rest } = connection(terminal, options)
  return new KeyturnClient(untilDone || signal === undefined ? rest : { ...rest, signal })
}

/** The keys and backups of the same broker, with the same token. */
export function brokerAdmin(terminal: Terminal, options: BrokerOptions): BrokerAdmin {
  return new BrokerAdmin(connection(terminal, options))
}

function connection(terminal: Terminal, options: BrokerOptions): ConnectionOptions {
  const { KEYTURN_ADDR: address, KEYTURN_TOKEN: token } = terminal.env
  return {
    address: address === undefined || address === '' ? 'http://127.0.0.1:8320' : address,
    signal: terminal.signal,
    ...(options.tokenFile === undefined ? {} : { tokenFile: options.tokenFile }),
    ...(options.tokenFile !== undefined || token === undefined || token === '' ? {} : { token }),
  }
}
