import { findInCache } from '../../servers/aws-emulator.ts'
import { builtVersion } from '../../servers/built-version.ts'
import type { AbsentReader, Fields, Reader } from './reader.ts'
import { run } from './run.ts'

/** `vals`, which reads many kinds of stores by references. */
export interface Vals {
  readonly title: string
  /** What a document of references becomes; undefined when it says that something is not there. */
  evaluate(references: Readonly<Record<string, string>>, env: Readonly<Record<string, string>>): Promise<Fields | undefined>
}

/** In the cache folder of servers. https://github.com/helmfile/vals */
export async function findVals(): Promise<Vals | AbsentReader> {
  const program = await findInCache('readers/bin/vals')
  if (program === undefined) return { title: 'vals', absent: 'vals is not in the cache folder of servers' }
  const title = `vals ${await builtVersion(program, 'github.com/helmfile/vals')}`
  return {
    title,
    async evaluate(references, env) {
      const { code, stdout, stderr } = await run(program, ['eval', '-o', 'json', '-f', '-'], env, JSON.stringify(references))
      // what it prints is the document
      if (code === 0) return JSON.parse(stdout) as Fields
      if (/no secret found|no value found|not ?found/i.test(stderr)) return undefined
      throw new Error(`${title} ended with ${code}: ${stderr}`)
    },
  }
}

/** Of Vault and OpenBao it reads field by field, and numbers as text. */
export async function findVaultVals(scheme: 'vault' | 'openbao'): Promise<Reader | AbsentReader> {
  const vals = await findVals()
  if ('absent' in vals) return vals
  return {
    title: `${vals.title} by ref+${scheme}`,
    numbers: 'as text',
    read({ url, token, namespace }, { mount, key }, { names, version }) {
      const query = new URLSearchParams({
        address: url,
        ...(namespace === undefined ? {} : { namespace }),
        ...(version === undefined ? {} : { version: String(version) }),
      })
      const references = names.map(name => [name, `ref+${scheme}://${mount}/${key}?${query}#/${name}`])
      return vals.evaluate(Object.fromEntries(references), { VAULT_TOKEN: token, BAO_TOKEN: token, OPENBAO_TOKEN: token })
    },
  }
}
