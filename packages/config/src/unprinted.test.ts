import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { load } from '../test/files.ts'

test('a config that is logged, whole or in parts, prints no value of a variable', async () => {
  const variable = '$'.concat('{TOKEN}')
  const text = `
broker: { ledger: "postgres://${variable}@db/keyturn" }
vault:
  address: http://127.0.0.1:8200
  auth: { method: token, token: "${variable}" }
  secrets: [{ path: secret/data/app/key }]
issuers: { db: { kind: postgres, url: "postgres://${variable}@db" } }
audit: { sinks: [{ kind: webhook, url: "https://example.com", token: "${variable}" }] }
`
  const config = await load(text, { env: { TOKEN: 'hunter2-canary' } })
  expect(config.broker.ledger).toContain('hunter2-canary')
  const printed = [config, config.broker, [...config.stores.values()], [...config.issuers.values()], config.audit].flatMap(part => [
    JSON.stringify(part),
    inspect(part, { depth: 9 }),
  ])
  for (const text of printed) expect(text).not.toContain('hunter2-canary')
  expect(JSON.stringify([...config.stores.values()])).toBe('[{"name":"vault","kind":"vault"}]')
})
