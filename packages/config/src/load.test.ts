import type { SecretName } from '@keyturn/core'
import { describe, expect, test } from 'vitest'
import { complaintsOf, load } from '../test/files.ts'

const vault = `# configs/secrets/vault.yaml
vault:
  address: \${VAULT_ADDR}
  auth:
    method: kubernetes
    role: agentaskit-production
  secrets:
    - path: secret/data/agentaskit/api-keys
      key: api_key
    - path: secret/data/agentaskit/db-credentials
      key: db_password
    - path: secret/data/agentaskit/jwt-signing
      key: jwt_secret
`
const env = { VAULT_ADDR: 'http://127.0.0.1:8200' }

describe('a file of a store alone', () => {
  test('is readable and unscheduled', async () => {
    const config = await load(vault, { env })
    expect([...config.secrets.keys()]).toEqual(['agentaskit/api-keys', 'agentaskit/db-credentials', 'agentaskit/jwt-signing'])
    for (const secret of config.secrets.values()) expect(secret).toMatchObject({ type: 'generic', row: false, strategy: null, every: null })
    expect(config.secrets.get('agentaskit/api-keys' as SecretName)?.places).toMatchObject([
      { store: 'vault', path: 'secret/data/agentaskit/api-keys', fields: ['api_key'], format: 'fields' },
    ])
  })

  test('names a variable that is not set, with its place', async () => {
    expect(await complaintsOf({ 'keyturn.yaml': vault })).toEqual([
      `keyturn.yaml:3:12: vault.address: the variable VAULT_ADDR is not set; set VAULT_ADDR, or write \${VAULT_ADDR:-default}`,
    ])
  })
})
