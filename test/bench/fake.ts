/** A fake of a backend in a process of its own: prints, as one line of JSON, how to reach it; ends with its standard input. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { AwsSecretsManagerFake } from '../fakes/aws-secrets-manager.ts'
import { AzureVault } from '../fakes/azure-vault.ts'
import { GcpAuthorityFake } from '../fakes/gcp-authority.ts'
import { type Account, GcpSecretManagerFake } from '../fakes/gcp-secret-manager.ts'
import { KubernetesFake } from '../fakes/kubernetes.ts'
import { VaultFake } from '../fakes/vault.ts'
import { namesListed, value } from './backends.ts'

const names = Array.from({ length: namesListed }, (_, index) => `listed-${index}`)

const starts: Readonly<Record<string, () => Promise<Readonly<Record<string, string>>>>> = {
  async vault() {
    const fake = await VaultFake.start()
    const mount = fake.mount('secret', 2)
    for (const name of ['read', ...names]) mount.put(name, { value })
    return { url: fake.url, token: fake.root }
  },
  async aws() {
    const fake = await AwsSecretsManagerFake.start()
    for (const name of ['read', ...names]) fake.secrets.put(name, value)
    const { accessKeyId, secretAccessKey } = fake.accounts.add()
    return { url: fake.url, accessKeyId, secretAccessKey }
  },
  async azure() {
    const fake = await AzureVault.start()
    for (const name of ['read', ...names]) fake.secrets.put(name, value)
    return { url: fake.url, authority: fake.authority.url, tenant: fake.authority.tenant }
  },
  async gcp() {
    const fake = await GcpSecretManagerFake.start({ tls: true })
    const authority = await GcpAuthorityFake.start()
    const secrets = fake.secrets('projects/bench')
    for (const name of ['read', ...names]) secrets.put(name, value)
    // a signature is looked at once: it is not what is measured
    const accounts = new Map<string, Account | undefined>()
    fake.account = token => {
      if (!accounts.has(token)) accounts.set(token, authority.accountOf(token) === undefined ? undefined : { may: () => true })
      return accounts.get(token)
    }
    const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'))
    process.on('exit', () => rmSync(folder, { recursive: true }))
    const keyFile = join(folder, 'key.json')
    writeFileSync(keyFile, JSON.stringify(authority.keyFile('broker@bench.iam.gserviceaccount.com')))
    return { host: 'localhost', port: String(fake.port), keyFile }
  },
  async kubernetes() {
    const fake = await KubernetesFake.start()
    fake.secrets.namespaces.add('bench')
    for (const name of ['read', ...names]) fake.secrets.put('bench', name, { value })
    return { url: fake.url, token: fake.admin }
  },
}

const [, , kind = ''] = process.argv
process.stdout.write(`${JSON.stringify(await starts[kind]?.())}\n`)
process.stdin.resume().on('end', () => process.exit())
