import { createSecretKey, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Keyring } from '@keyturn/envelope'
import { afterAll, expect, test } from 'vitest'
import { testCertificates } from '../../../test/fakes/tls/certificates.ts'
import { systemClock } from './clock.ts'
import { kinds } from './compose.ts'
import { pooledRandom } from './random.ts'

const folder = mkdtempSync(join(tmpdir(), 'keyturn-compose-'))
afterAll(() => rmSync(folder, { recursive: true }))

const keys = new Map([['k1', createSecretKey(randomBytes(32))]])
const context = { clock: systemClock, random: pooledRandom(), etagKey: createSecretKey(randomBytes(32)), data: folder }

async function opened(ca: string) {
  const kind = (await kinds()).vault
  if (kind === undefined) throw new Error('there is no kind vault')
  const options = kind.options.parse({ address: 'https://127.0.0.1:1' })
  const at = { file: 'keyturn.yaml', line: 1, column: 1 }
  const section = { name: 'one', kind: 'vault', options, timeoutMs: 1_000, ca, proxy: null, maxInFlight: 1, at, takesAny: false, paths: [] }
  return (await kind.load())(section, context, { env: {}, keyring: new Keyring({ keks: keys, current: 'k1' }) })
}

test('authorities are read when a store is opened, and what holds none is refused', async () => {
  const file = join(folder, 'ca.pem')
  for (const text of ['', 'not a certificate', '-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n']) {
    writeFileSync(file, text)
    await expect(opened(file)).rejects.toMatchObject({ code: 'invalid_argument', message: expect.stringContaining(file) })
  }
  await expect(opened(join(folder, 'none.pem'))).rejects.toMatchObject({ code: 'invalid_argument' })
  writeFileSync(file, testCertificates.ca)
  await (await opened(file)).close()
})
