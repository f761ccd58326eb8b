import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { testCertificates } from './tls/certificates.ts'
import { type AnyKnob, bodyOf, endless, instead, TurnableServer } from './turnable-server.ts'

/** What a fake does instead of its work, to requests whose method and path fit. */
export type AzureKnob =
  | AnyKnob
  /** Acts, then cuts in the middle of the answer. */
  | { readonly do: 'tear' }
  /** Waits before acting. */
  | { readonly do: 'late'; readonly ms: number }
  /** Begins an answer that never ends, `bytes` at a time. */
  | { readonly do: 'endless'; readonly bytes: number }
  /** Answers this. */
  | { readonly do: 'say'; readonly status: number; readonly body: string; readonly headers?: Readonly<Record<string, string>> }

export interface AzureSeen {
  readonly method: string
  /** As it stood on the wire. */
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface AzureReply {
  readonly status: number
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** What a fake answers, as a function of the request. */
export type AzureWork = (seen: AzureSeen) => AzureReply

/** An HTTPS server on the loopback that records what it is asked and can be turned wrong. */
export class AzureServer extends TurnableServer<AzureKnob> {
  readonly #work: AzureWork
  readonly seen: AzureSeen[] = []
  /** Requests that are being answered, and the most of them at once. */
  busy = 0
  busiest = 0

  private constructor(work: AzureWork, tls: { readonly cert: string; readonly key: string }) {
    super(tls)
    this.#work = work
  }

  static start(work: AzureWork, tls: { readonly cert: string; readonly key: string } = testCertificates.server): Promise<AzureServer> {
    return new AzureServer(work, tls).listen()
  }

  override get url(): string {
    return `https://localhost:${this.port}`
  }

  protected async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '' } = request
    this.busy += 1
    this.busiest = Math.max(this.busiest, this.busy)
    response.on('close', () => (this.busy -= 1))
    const seen = { method, path: url, headers: request.headers, body: await bodyOf(request) }
    this.seen.push(seen)
    const knob = this.knobFor(`${method} ${url}`)
    if (knob !== undefined && answered(knob, request, response)) return
    if (knob?.do === 'late') await new Promise(resolve => setTimeout(resolve, knob.ms))
    const reply = this.#work(seen)
    if (knob?.do === 'cut') return void request.socket.destroy()
    if (knob?.do === 'slow') await new Promise(resolve => setTimeout(resolve, knob.ms))
    if (knob?.do === 'tear') return tear(reply, response)
    answer(reply, response)
  }
}

function answer({ status, body, headers = {} }: AzureReply, response: ServerResponse): void {
  const text = body === undefined ? '' : JSON.stringify(body)
  response.writeHead(status, { ...(text === '' ? {} : { 'content-type': 'application/json; charset=utf-8' }), ...headers }).end(text)
}

function tear({ status, body }: AzureReply, response: ServerResponse): void {
  const text = JSON.stringify(body ?? {})
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(text) })
  response.write(text.slice(0, text.length / 2), () => response.destroy())
}

/** Answers in place of the work; false where the work is done first. */
function answered(knob: AzureKnob, request: IncomingMessage, response: ServerResponse): boolean {
  if (knob.do === 'tear' || knob.do === 'late') return false
  if (knob.do === 'say') response.writeHead(knob.status, { 'content-type': 'application/json', ...knob.headers }).end(knob.body)
  else if (knob.do === 'endless') endless(response, 'application/json', ' '.repeat(knob.bytes))
  else return instead(knob, request, response)
  return true
}
