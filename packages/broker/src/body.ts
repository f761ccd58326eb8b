import type { IncomingMessage } from 'node:http'
import { limits, readStrictJson, requestComplaints } from '@keyturn/api'
import { BrokerError } from '@keyturn/core'
import type { z } from 'zod'
import type { HttpContext } from './exchange.ts'

/** A body as it came and as its schema reads it. */
export interface Body<T> {
  readonly bytes: Uint8Array
  readonly content: T
}

/** Reads a JSON body by its schema. Errors: `too_large`, `invalid_argument` (415 for another media type or a compressed body); nothing of it is echoed. */
export async function jsonBody<T extends z.ZodType>(context: HttpContext, schema: T, optional = false): Promise<Body<z.output<T>>> {
  const { incoming } = context.env
  const bytes = await bodyBytes(incoming)
  if (bytes.byteLength === 0 && optional) return { bytes, content: checked(schema, {}, 'body') }
  const mediaType = incoming.headers['content-type']?.split(';')[0]?.trim().toLowerCase()
  if (mediaType !== 'application/json') throw wrongMedia('the body must be application/json')
  return { bytes, content: checked(schema, readStrictJson(bytes), 'body') }
}

/** The query of a request by its schema; a parameter given twice is refused. */
export function query<T extends z.ZodType>(context: HttpContext, schema: T): z.output<T> {
  const target = context.env.incoming.url ?? ''
  const at = target.indexOf('?')
  const given: Record<string, string> = Object.create(null)
  for (const [name, value] of new URLSearchParams(at === -1 ? '' : target.slice(at + 1))) {
    if (name in given) throw refused([{ path: name, message: 'is given twice' }], 'query')
    given[name] = value
  }
  return checked(schema, { ...given }, 'query')
}

/** Headers by their schema, of which those that it does not name are left out. */
export function headers<T extends z.ZodType>(context: HttpContext, schema: T): z.output<T> {
  return checked(schema, { ...context.env.incoming.headers }, 'headers')
}

/** Anything by its schema. `invalid_argument` says where it does not fit, and nothing of what was sent. */
export function checked<T extends z.ZodType>(schema: T, given: unknown, where: string): z.output<T> {
  const result = schema.safeParse(given)
  if (result.success) return result.data
  throw refused(requestComplaints(result.error), where)
}

function refused(errors: readonly { readonly path: string; readonly message: string }[], where: string): BrokerError {
  return new BrokerError('invalid_argument', `the ${where} of the request is not acceptable`, {
    hint: 'errors says where; /openapi.json has every shape',
    detail: { reason: 'request', errors },
  })
}

async function bodyBytes(incoming: IncomingMessage): Promise<Uint8Array> {
  const encoding = incoming.headers['content-encoding']
  if (encoding !== undefined && encoding !== 'identity') throw wrongMedia('compressed bodies are not accepted')
  if (Number(incoming.headers['content-length'] ?? 0) > limits.bodyBytesMax) throw tooLarge()
  const chunks: Uint8Array[] = []
  let length = 0
  try {
    // without an encoding, a stream of Node gives bytes
    for await (const chunk of incoming as AsyncIterable<Uint8Array>) {
      length += chunk.byteLength
      if (length > limits.bodyBytesMax) throw tooLarge()
      chunks.push(chunk)
    }
  } catch (cause) {
    if (cause instanceof BrokerError) throw cause
    throw new BrokerError('cancelled', 'the request ended before its body did', { cause })
  }
  return Buffer.concat(chunks)
}

function tooLarge(): BrokerError {
  return new BrokerError('too_large', `the body is larger than ${limits.bodyBytesMax} bytes`, { hint: 'send less at a time' })
}

function wrongMedia(why: string): BrokerError {
  return new BrokerError('invalid_argument', why, {
    hint: 'send Content-Type: application/json, uncompressed',
    detail: { reason: 'unsupported_media_type' },
  })
}
