import { type Batch, batch, problemOf } from '@keyturn/api'
import { BrokerError, secretName, type VersionId } from '@keyturn/core'
import { grant } from '../access.ts'
import { jsonBody } from '../body.ts'
import type { Broker } from '../broker.ts'
import { type Exchange, exchange, type HttpContext, isDenial, named, plainHeaders, record } from '../exchange.ts'
import { readSecret, type Which } from '../reads/read.ts'

const atOnce = 16

/** `POST /v1/secrets:batch`: each item is judged, read, recorded and answered for itself. */
export function batchSecrets(broker: Broker, context: HttpContext): Promise<Response> {
  return exchange(broker, context, 'read', async asked => {
    const { items } = (await jsonBody(context, batch)).content
    asked.recorded = true
    const answers: string[] = []
    for (let from = 0; from < items.length; from += atOnce) {
      answers.push(...(await Promise.all(items.slice(from, from + atOnce).map(item => answerItem(broker, asked, item)))))
    }
    return new Response(`{"items":[${answers.join(',')}]}`, {
      status: 200,
      headers: {
        'Content-Type': 'application/json',
        'Cache-Control': 'no-store',
        ...plainHeaders,
        'X-Request-Id': asked.requestId,
      },
    })
  })
}

async function answerItem(broker: Broker, batchAsked: Exchange, item: Batch['items'][number]): Promise<string> {
  const { name: given, field, stage = 'current', version } = item
  const asked: Exchange = { ...batchAsked, action: stage === 'pending' ? 'stage' : 'read', field: field ?? null, version: version ?? null }
  try {
    if (version !== undefined && item.stage !== undefined) throw bothGiven()
    const name = secretName(given)
    asked.secret = name
    const granted = await grant(broker, asked.session.principal, stage === 'pending' ? 'stage' : 'read', name)
    const which: Which = version === undefined ? { stage } : { version: version as VersionId } // any text may be an id
    const material = await readSecret(broker, granted, which)
    asked.version = material.parts.version
    const secret = material.document(field)
    await record(broker, asked, 'allowed', null)
    return `{"name":${JSON.stringify(name)},"status":200,"secret":${secret}}`
  } catch (thrown) {
    const error = named(thrown)
    await record(broker, asked, isDenial(error) ? 'denied' : 'failed', error.code)
    const problem = problemOf(error, asked.requestId)
    return JSON.stringify({ name: given, status: problem.status, error: problem })
  }
}

function bothGiven(): BrokerError {
  return new BrokerError('invalid_argument', 'an item asks for a stage and a version', { hint: 'give one of the two' })
}
