import type { SecretName } from '@keyturn/core'
import type { Broker } from '../broker.ts'
import { type Exchange, type HttpContext, named, problem } from '../exchange.ts'
import { lists, notModified, valueAnswer } from './answer.ts'
import type { Material } from './material.ts'

/**
 * A read that was allowed in this session while one fetched version was at hand. When that is gone from memory, what the policy judges may have
 * changed at another broker, and the read is judged anew. It holds no value itself.
 */
export interface AllowedRead {
  readonly name: SecretName
  readonly field: string | undefined
  readonly fetch: object
}

const allowedMax = 4096

/**
 * The short way of reads that were asked before: a known token, a known decision and a value at hand need no look-up, only the record.
 * Whatever is out of the ordinary goes the long way, which answers the same. A session ends, and its memory with it, when a token,
 * the policy or what it judges changes.
 */
export class HotReads {
  remember(asked: Exchange, material: Material, field: string | undefined): void {
    const { reads } = asked.session
    if (reads.size >= allowedMax) reads.clear()
    reads.set(asked.target, { name: material.parts.name, field, fetch: material.fetch })
  }

  /** The answer; undefined when this read has to go the long way. */
  answer(broker: Broker, context: HttpContext): Promise<Response> | undefined {
    const { incoming } = context.env
    const { authorization, accept, 'if-none-match': condition } = incoming.headers
    if (accept !== undefined && accept !== '*/*' && accept !== 'application/json') return undefined
    const nowMs = broker.turn.nowMs()
    const session = broker.sessions.known(authorization, nowMs)
    const allowed = session?.reads.get(incoming.url ?? '')
    if (session === undefined || allowed === undefined) return undefined
    const material = broker.materials.fresh(allowed.name, nowMs)
    if (material === undefined || material.fetch !== allowed.fetch) return undefined
    const { name, field } = allowed
    const rendering = material.json(field, nowMs, true)
    const answer = condition !== undefined && lists(condition, rendering.etag) ? notModified : valueAnswer
    const requestId = broker.requestId()
    const event = {
      principal: session.principal.id,
      action: 'read',
      secret: name,
      version: material.parts.version,
      field: field ?? null,
      outcome: 'allowed' as const,
      code: null,
      requestId,
      source: incoming.socket.remoteAddress ?? null,
    }
    return broker.audit.append(event).then(
      () => answer(rendering, requestId),
      error => problem(named(error), requestId),
    )
  }
}
