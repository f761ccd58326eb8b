import { join } from 'node:path'
import { type Around, type Ran, ran } from '../../packages/cli/test/fake-terminal.ts'
import { VaultFake } from '../fakes/vault.ts'
import type { KvTwo } from '../fakes/vault-kv.ts'
import { Place } from './harness.ts'

/** A folder with configs, a Vault beside it, and the command line between them. */
export class Setting {
  readonly place = new Place()
  readonly vault: VaultFake
  readonly kv: KvTwo

  private constructor(vault: VaultFake) {
    this.vault = vault
    this.kv = vault.mount('secret', 2)
  }

  static async start(): Promise<Setting> {
    return new Setting(await VaultFake.start())
  }

  get env(): Record<string, string> {
    return { KEYTURN_DATA: join(this.place.folder, 'data'), KEYTURN_LISTEN: '127.0.0.1:0', THE_TOKEN: this.vault.root }
  }

  keyturn(line: string, around: Around = {}): Promise<Ran> {
    return ran(line.split(' '), { cwd: this.place.folder, env: this.env, ...around })
  }

  /** The section of a store `vault` with these entries. */
  vaultSection(secrets: string): string {
    return `vault: { address: "${this.vault.url}", timeout: 5s, auth: { method: token, token: "\${THE_TOKEN}" }, secrets: [${secrets}] }\n`
  }

  /** Writes that reached Vault. */
  writes(): readonly unknown[] {
    return this.vault.seen.filter(({ method, path }) => (method === 'POST' || method === 'PUT') && path.includes('/data/'))
  }

  async close(): Promise<void> {
    await this.vault.close()
    this.place.remove()
    if (this.vault.broken.length > 0) throw new Error(`the fake was misused: ${this.vault.broken.join('; ')}`)
  }
}

const linesOf = ({ out }: Ran) => out.split('\n').filter(line => line !== '')

/** What `--json` said, line by line. */
export const stepsOf = (answer: Ran) => linesOf(answer).map(line => JSON.parse(line))

/** The table that a pipe is given. */
export const rowsOf = (answer: Ran) => linesOf(answer).map(line => line.split('\t'))
