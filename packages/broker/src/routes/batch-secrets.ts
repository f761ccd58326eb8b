import { type BatchItem, batchItem, batchOfAny } from '@keyturn/api'
import { secretName, type VersionId } from '@keyturn/core'
import { grant } from '../access.ts'
import { checked, jsonBody } from '../body.ts'
import type { Broker } from '../broker.ts'
import { documentOf, type Exchange, exchange, type HttpContext, isDenial, named, plainHeaders, record } from '../exchange.ts'
import { readSecret, staleNote, type Which } from '../reads/read.ts'

/** Of one store: another one does not wait for it. */
const atOnce = 16

/** `POST /v1/secrets:batch`: each item is judged, read, recorded and answered for itself. */
export function batchSecrets(broker: Broker, context: HttpContext): Promise<Response> {
  return exchange(broker, context, 'read', async asked => {
    const { items } = (await jsonBody(context, batchOfAny)).content
    asked.recorded = true
    const answers: string[] = []
    const groups = Map.groupBy(items.entries(), ([, item]) => storeOf(broker, item))
    await Promise.all(
      [...groups.values()].map(group =>
        each(group, async ([index, item]) => {
          answers[index] = await answerItem(broker, asked, item)
        }),
      ),
    )
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

/** The store that an item is asked of first; none for an item that will be refused. */
function storeOf(broker: Broker, item: unknown): string | null {
  try {
    return broker.catalog.find(secretName(nameIn(item)))?.section.name ?? null
  } catch {
    return null
  }
}

async function each<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  const waiting = [...items]
  const take = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await act(item)
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, waiting.length) }, take))
}

async function answerItem(broker: Broker, batchAsked: Exchange, given: unknown): Promise<string> {
  const asked: Exchange = { ...batchAsked }
  try {
    const item = checked(batchItem, given, 'item')
    const { field, stage = 'current', version } = item
    Object.assign(asked, { action: stage === 'pending' ? 'stage' : 'read', field: field ?? null, version: version ?? null })
    const name = secretName(item.name)
    asked.secret = name
    const granted = await grant(broker, asked.session.principal, stage === 'pending' ? 'stage' : 'read', name)
    const material = await readSecret(broker, granted, whichOf(item))
    asked.version = material.parts.version
    const secret = material.document(field, broker.clock.now().getTime())
    await record(broker, asked, 'allowed', material.parts.stale === true ? staleNote : null)
    return `{"name":${JSON.stringify(name)},"status":200,"secret":${secret}}`
  } catch (thrown) {
    const error = named(thrown)
    await record(broker, asked, isDenial(error) ? 'denied' : 'failed', error.code)
    const problem = documentOf(error, asked.requestId)
    return JSON.stringify({ name: nameIn(given), status: problem.status, error: problem })
  }
}

const whichOf = ({ stage = 'current', version }: BatchItem): Which =>
  version === undefined ? { stage } : { version: version as VersionId } // any text may be an id

/** The name of an item that may be anything. */
function nameIn(item: unknown): string {
  const name = typeof item === 'object' && item !== null && 'name' in item ? item.name : undefined
  return typeof name === 'string' ? name : ''
}
