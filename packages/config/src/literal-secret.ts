import type { Complaints } from './complaint.ts'
import { type Path, renderPath, scalarsOf, type Tree } from './tree.ts'

const secretKeys =
  /^(token|password|passphrase|secret|secretId|clientSecret|apiKey|secretAccessKey|sessionToken|privateKey|credential|credentials)$/i
const urlPassword = /^[a-z][a-z0-9+.-]*:\/\/[^/@\s:]*:([^/@\s]+)@/i

/** Refuses credentials that stand in the file itself: they come from a variable or from a file of their own. `names` are keys that only sound like one. */
export function refuseLiteralSecrets(tree: Tree, base: Path, complaints: Complaints, names: readonly string[] = []): void {
  for (const { scalar, path } of scalarsOf(tree, base)) {
    const key = path.findLast(step => typeof step === 'string') ?? ''
    if (secretKeys.test(key) && !names.includes(key) && !scalar.interpolated && !scalar.broken && scalar.source !== '') {
      const variable = key.replace(/([a-z])([A-Z])/g, '$1_$2').toUpperCase()
      complaints.error(
        scalar.at,
        renderPath(path),
        'a secret stands in the file itself',
        `write \${${variable}}, or ${key}File with the path of a file`,
      )
    }
    const password = urlPassword.exec(scalar.source)?.[1]
    if (password !== undefined && !password.includes('${')) {
      complaints.error(
        scalar.at,
        renderPath(path),
        'a password stands in the URL itself',
        `write it as \${NAME}, or the whole URL as \${NAME}`,
      )
    }
  }
}
