import { nameInTarget, secretQuery } from '@keyturn/api'
import type { VersionId } from '@keyturn/core'
import { wantsPlain } from '../accept.ts'
import { grant } from '../access.ts'
import { query } from '../body.ts'
import type { Broker } from '../broker.ts'
import { type Exchange, exchange, type HttpContext } from '../exchange.ts'
import { lists, notModified, valueAnswer } from '../reads/answer.ts'
import type { Material } from '../reads/material.ts'
import { readSecret, staleNote, type Which } from '../reads/read.ts'

/** What stands before a name. */
export const secretsPrefix = '/v1/secrets/'

/** `GET /v1/secrets/{name}`, every form of it. What was asked for in the plainest form is remembered for `HotReads`. */
export function getSecret(broker: Broker, context: HttpContext): Promise<Response> {
  return broker.hot.answer(broker, context) ?? longWay(broker, context)
}

function longWay(broker: Broker, context: HttpContext): Promise<Response> {
  return exchange(broker, context, 'read', async asked => {
    const name = nameInTarget(asked.target, secretsPrefix)
    asked.secret = name
    const { stage = 'current', version, field } = query(context, secretQuery)
    asked.field = field ?? null
    asked.version = version ?? null
    asked.action = stage === 'pending' ? 'stage' : 'read'
    const granted = await grant(broker, asked.session.principal, asked.action === 'stage' ? 'stage' : 'read', name)
    const which: Which = version === undefined ? { stage } : { version: version as VersionId } // any text may be an id
    const kept = stage === 'current' && version === undefined ? broker.materials.fresh(name, broker.clock.now().getTime()) : undefined
    const material = kept ?? (await readSecret(broker, granted, which))
    asked.version = material.parts.version
    if (material.parts.stale === true) asked.note = staleNote
    const plain = wantsPlain(context.env.incoming.headers.accept)
    if (!plain && version === undefined && stage === 'current' && asked.note === undefined) broker.hot.remember(asked, material, field)
    return answer(broker, context, asked, material, { plain, kept: kept !== undefined })
  })
}

function answer(
  broker: Broker,
  context: HttpContext,
  asked: Exchange,
  material: Material,
  how: { readonly plain: boolean; readonly kept: boolean },
): Response {
  const nowMs = broker.clock.now().getTime()
  const field = asked.field ?? undefined
  const rendering = how.plain ? material.plain(field, nowMs, how.kept) : material.json(field, nowMs, how.kept)
  if (lists(context.env.incoming.headers['if-none-match'], rendering.etag)) return notModified(rendering, asked.requestId)
  return valueAnswer(rendering, asked.requestId)
}
