import { BrokerError, type StorePath } from '@keyturn/core'
import type { Client } from './client.ts'
import { listPrefix } from './names.ts'
import { nextToken } from './secret.ts'

/** The most that AWS puts on a page. https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecrets.html */
const pageSize = 100

/** The names of secrets that begin so, each once, a page when its turn comes: pages repeat names when something is written in between. */
export async function* listed(client: Client, prefix: string, signal: AbortSignal): AsyncIterable<StorePath> {
  const start = listPrefix(prefix)
  const told = new Set<string>()
  for (let token: string | undefined, page = 0; page === 0 || token !== undefined; page += 1) {
    const answer = await client.list(start, pageSize, token, signal)
    if (answer.SecretList === undefined) throw new BrokerError('corrupt', 'aws: the answer to a list has no list')
    for (const { Name: name } of answer.SecretList) {
      if (name === undefined) throw new BrokerError('corrupt', 'aws: a secret in a list has no name')
      // the filter of AWS decides what is sent, not what is meant
      if (!name.startsWith(start) || told.has(name)) continue
      told.add(name)
      yield name as StorePath
    }
    token = nextToken(answer, token)
  }
}
