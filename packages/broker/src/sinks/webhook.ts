import { readFileSync } from 'node:fs'
import { type IncomingMessage, request as plainRequest } from 'node:http'
import { request as tlsRequest } from 'node:https'
import type { Config } from '@keyturn/config'
import { BrokerError } from '@keyturn/core'
import type { Deliver } from './audit-sinks.ts'

type Sink = NonNullable<Config['audit']['sinks']>[number]
type Webhook = Extract<Sink, { kind: 'webhook' }>

const timeoutMs = 10_000

/**
 * Posts lines as newline-delimited JSON, as they stand in the chain: `POST url`, `application/x-ndjson`, at most 256 KiB. Any 2xx says that the other side has
 * them; anything else, redirects too, that it has not. The token file is read each time, so that it may change.
 */
export function webhook({ url, token, tokenFile, ca, timeout }: Webhook): Deliver {
  const authorities = ca === undefined ? {} : { ca: readFileSync(ca) }
  const request = url.startsWith('https:') ? tlsRequest : plainRequest
  return async (lines, signal) => {
    const body = Buffer.from(`${lines.join('\n')}\n`)
    const bearer = tokenFile === undefined ? token : readFileSync(tokenFile, 'utf8').trim()
    const headers = {
      'content-type': 'application/x-ndjson',
      'content-length': body.byteLength,
      ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
    }
    const within = AbortSignal.any([signal, AbortSignal.timeout(timeout ?? timeoutMs)])
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const sent = request(url, { method: 'POST', headers, signal: within, ...authorities }, resolve)
      sent.on('error', cause => reject(new BrokerError('unavailable', `no answer (${codeOf(cause)})`, { cause })))
      sent.end(body)
    })
    answer.resume()
    const { statusCode = 0 } = answer
    if (statusCode < 200 || statusCode > 299) throw new BrokerError('unavailable', `it answers ${statusCode}`)
  }
}

const codeOf = (cause: Error): string => ('code' in cause ? String(cause.code) : cause.name)
