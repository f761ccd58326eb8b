import { BrokerError, type StorePath } from '@keyturn/core'
import type { Client } from './client.ts'
import { listPrefix } from './names.ts'
import { nextToken } from './secret.ts'

/** The most that AWS puts on a page. https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecrets.html */
const pageSize = 100

/**
 * The names of secrets that begin so, a page when its turn comes. A name that the page before had too, because something was written in between,
 * comes once.
 */
export async function* listed(client: Client, prefix: string, signal: AbortSignal): AsyncIterable<StorePath> {
  const start = listPrefix(prefix)
  let before: ReadonlySet<string> = new Set()
  for (let token: string | undefined, page = 0; page === 0 || token !== undefined; page += 1) {
    const answer = await client.list(start, pageSize, token, signal)
    const names = new Set<string>()
    for (const { Name: name } of answer.SecretList ?? []) {
      if (name === undefined) throw new BrokerError('corrupt', 'aws: a secret in a list has no name')
      // the filter of AWS decides what is sent, not what is meant
      if (!name.startsWith(start) || names.has(name)) continue
      names.add(name)
      if (!before.has(name)) yield name as StorePath
    }
    if (answer.SecretList === undefined) throw new BrokerError('corrupt', 'aws: the answer to a list has no list')
    before = names
    token = nextToken(answer, token)
  }
}
