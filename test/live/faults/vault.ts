import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open, options } from '@keyturn/adapter-vault'
import { testCertificates } from '../../fakes/tls/certificates.ts'
import { VaultFake } from '../../fakes/vault.ts'
import { findOpenBao, startOpenBao } from '../../servers/openbao.ts'
import { context, ofFields, type Subject, type Upstream } from './subject.ts'

/** What the two servers differ in. */
interface Server {
  readonly server: string
  readonly url: string
  readonly token: string
  readonly ca: string
  readonly tls: NonNullable<Upstream['tls']>
  stop(): Promise<void>
}

/** OpenBao or Vault where there is one, else our own fake; both over TLS. */
export const vault: Subject = {
  kind: 'vault',
  speaks: 'http',
  writesAtOnce: true,
  async start() {
    const binary = await findOpenBao()
    return upstreamOf(binary === undefined ? await ownFake() : await realServer(binary))
  },
}

/** Our own fake, wherever others are. */
export const vaultFake: Subject = { ...vault, start: async () => upstreamOf(await ownFake()) }

function upstreamOf({ server, url, token, ca, tls, stop }: Server): Upstream {
  return {
    server,
    port: Number(new URL(url).port),
    tls,
    open: port => open(options.parse({ address: `https://127.0.0.1:${port}`, ca }), context, { env: { VAULT_TOKEN: token } }),
    ...ofFields('secret/data/faults/'),
    stop,
  }
}

async function realServer(binary: string): Promise<Server> {
  const folder = await mkdtemp(join(tmpdir(), 'keyturn-faults-'))
  const bao = await startOpenBao(binary, folder)
  const pem = (name: string) => readFile(join(folder, `${name}.pem`), 'utf8')
  return {
    server: `openbao ${bao.version}`,
    url: bao.url,
    token: bao.rootToken,
    ca: await pem('vault-ca'),
    // the impostor's is of another authority
    tls: { own: { cert: await pem('vault-cert'), key: await pem('vault-key') }, impostor: testCertificates.server },
    async stop() {
      await bao.stop()
      await rm(folder, { recursive: true })
    },
  }
}

async function ownFake(): Promise<Server> {
  const fake = await VaultFake.start(Date.now, testCertificates.server)
  fake.mount('secret', 2)
  return {
    server: 'our own fake',
    url: fake.url,
    token: fake.root,
    ca: testCertificates.ca,
    // the impostor's is of the same authority, and for no server
    tls: { own: testCertificates.server, impostor: testCertificates.client },
    stop: () => fake.close(),
  }
}
