import { secretListQuery } from '@keyturn/api'
import type { SecretName } from '@keyturn/core'
import type { Principal } from '@keyturn/policy'
import { denied, factsOf, genericType, mayOn } from '../access.ts'
import { query } from '../body.ts'
import type { Broker } from '../broker.ts'
import { afterCursor, cursorAfter } from '../cursor.ts'
import { exchange, type HttpContext, json } from '../exchange.ts'

const list = 'secrets'

/** `GET /v1/secrets`: names and metadata that the caller may `list`. A store that cannot be listed is an error, never a short list. */
export function listSecrets(broker: Broker, context: HttpContext): Promise<Response> {
  return exchange(broker, context, 'list', async asked => {
    const { prefix = '', limit, cursor } = query(context, secretListQuery)
    const { principal } = asked.session
    if (!broker.policy.mayAny(principal, 'list')) throw denied('list')
    const after = cursor === undefined ? null : afterCursor(broker.keys.cursor, list, cursor)
    const rows: object[] = []
    let last: SecretName | null = null
    for (const name of await namesFrom(broker, prefix, after)) {
      const row = await visible(broker, principal, name)
      if (row === null) continue
      if (rows.length === limit) return json({ secrets: rows, next: cursorAfter(broker.keys.cursor, list, last ?? name) }, asked)
      rows.push(row)
      last = name
    }
    return json({ secrets: rows, next: null }, asked)
  })
}

/** Every name that exists as far as can be known, sorted, below a prefix and behind a name. */
async function namesFrom(broker: Broker, prefix: string, after: SecretName | null): Promise<readonly SecretName[]> {
  const { catalog } = broker
  const names = new Set(catalog.named())
  for (const territory of catalog.territories) {
    // nothing below a prefix that is apart from ours can be asked for
    if (!prefix.startsWith(territory.name) && !territory.name.startsWith(prefix)) continue
    for await (const name of catalog.names(territory)) names.add(name)
  }
  return [...names].filter(name => name.startsWith(prefix) && (after === null || name > after)).sort()
}

async function visible(broker: Broker, principal: Principal, name: SecretName): Promise<object | null> {
  const entry = broker.catalog.find(name)
  if (entry === null) return null
  const known = await broker.ledger.secrets.byName(name)
  const facts = factsOf(entry, known)
  if (!mayOn(broker, principal, 'list', name, facts)) return null
  const { id } = known ?? (await broker.ledger.secrets.ensure(name))
  const { type = genericType, labels } = facts
  return { id, name, type, labels, owner: entry.config.owner, store: entry.section.name }
}
