/** Who may import whom, and which shapes the house forbids: as functions of file names and texts, so that they can be tried on wrong ones. */

/** A source file of the project: its path from the root, and its text. */
export interface SourceFile {
  readonly path: string
  readonly text: string
}

/** One package's allow-list: our packages, npm packages and Node's modules that its production code may import. */
interface Allowed {
  readonly ours: readonly string[]
  readonly npm: readonly string[]
  /** Every `node:` module, or only these. */
  readonly node: readonly string[] | 'any'
}

const none: readonly string[] = []

/** The rule of each package. An `adapter-*` or `kek-*` that is not here may import core, a `kek-*` the envelope too, and what its own package.json names: its SDK is its own affair. */
const allowLists: Readonly<Record<string, Allowed>> = {
  // node:buffer tells text from bytes without making a string of a value, which could not be wiped
  core: { ours: none, npm: none, node: ['node:buffer', 'node:crypto', 'node:util'] },
  policy: { ours: ['core'], npm: none, node: none },
  envelope: { ours: ['core'], npm: none, node: ['node:crypto', 'node:util'] },
  api: { ours: ['core'], npm: ['@hono/zod-openapi', 'hono', 'zod'], node: ['node:crypto', 'node:util'] },
  config: { ours: ['core', 'policy'], npm: ['croner', 'yaml', 'zod'], node: 'any' },
  sql: { ours: ['core'], npm: ['pg'], node: 'any' },
  ledger: { ours: ['core', 'envelope', 'sql'], npm: none, node: 'any' },
  audit: { ours: ['core', 'envelope'], npm: none, node: 'any' },
  conformance: { ours: ['core'], npm: none, node: ['node:crypto', 'node:util'] },
  'adapter-database': { ours: ['core', 'envelope', 'sql'], npm: ['zod'], node: 'any' },
  client: { ours: ['api'], npm: none, node: ['node:crypto', 'node:fs/promises', 'node:path', 'node:timers/promises'] },
  cli: {
    ours: ['api', 'audit', 'broker', 'client', 'config', 'core', 'policy'],
    npm: ['@clack/prompts', 'commander', 'picocolors'],
    node: 'any',
  },
  broker: {
    ours: ['api', 'audit', 'config', 'core', 'envelope', 'ledger', 'policy'],
    npm: ['@hono/node-server', '@hono/zod-openapi', 'hono', 'pino', 'zod'],
    node: 'any',
  },
}

/** Adapter files whose imports `check` pays for: no driver may come with them. */
const lightFiles = /^packages\/adapter-[^/]+\/src\/(options|names)\.ts$/

interface Import {
  readonly from: string
  readonly dynamic: boolean
  readonly typeOnly: boolean
}

function outside(name: string, dependenciesOf: (name: string) => readonly string[]): Allowed | undefined {
  if (name.startsWith('adapter-')) return { ours: ['core'], npm: dependenciesOf(name), node: 'any' }
  return name.startsWith('kek-') ? { ours: ['core', 'envelope'], npm: dependenciesOf(name), node: 'any' } : undefined
}

/** The import statements of a file, and its calls of `import()` with a fixed name. */
export function importsOf(text: string): readonly Import[] {
  const found: Import[] = []
  const statement = /^(?:import|export)\s+(type\s+)?(?:[\w*\s{},$]+?\s+from\s+)?'([^']+)'/gm
  for (const [, type, from] of text.matchAll(statement)) found.push({ from: from ?? '', dynamic: false, typeOnly: type !== undefined })
  for (const [, from] of text.matchAll(/\bimport\('([^']+)'\)/g)) found.push({ from: from ?? '', dynamic: true, typeOnly: false })
  return found
}

const isTest = (path: string) => /\.test\.ts$|\.fixture\.ts$|\/test\//.test(path)
const packageOf = (path: string) => /^packages\/([^/]+)\/src\//.exec(path)?.[1]
const npmName = (from: string) =>
  from
    .split('/')
    .slice(0, from.startsWith('@') ? 2 : 1)
    .join('/')

/** Every broken import rule of a file, in words. `dependenciesOf` gives what a package's own package.json names. */
export function importViolations({ path, text }: SourceFile, dependenciesOf: (name: string) => readonly string[]): readonly string[] {
  const name = packageOf(path)
  if (name === undefined || isTest(path)) return []
  const allowed = allowLists[name] ?? outside(name, dependenciesOf)
  if (allowed === undefined) return [`${path}: package ${name} has no allow-list in test/architecture.ts`]
  return importsOf(text).flatMap(one => violation(path, name, allowed, one) ?? [])
}

function violation(path: string, name: string, allowed: Allowed, { from, dynamic, typeOnly }: Import): string | undefined {
  const not = (why: string) => `${path} imports ${from}: ${why}`
  if (from.startsWith('.')) return /\.(ts|json)$/.test(from) ? undefined : not('write the .ts of a relative import')
  if (from.startsWith('node:')) {
    return allowed.node === 'any' || allowed.node.includes(from) ? undefined : not(`${name} does no such I/O`)
  }
  if (from.startsWith('@keyturn/')) return ours(path, name, allowed, { from, dynamic, typeOnly }, not)
  if (lightFiles.test(path) && npmName(from) !== 'zod') return not('options and names load no driver')
  return allowed.npm.includes(npmName(from)) ? undefined : not(`it is not in the allow-list of ${name}`)
}

function ours(path: string, name: string, allowed: Allowed, { from, dynamic, typeOnly }: Import, not: (why: string) => string) {
  const [, other = '', sub] = from.split('/')
  // the broker may know every package of the outside, in one file
  const isOutside = /^(adapter|issuer|kek)-/.test(other)
  // `.env` files read without a broker: the client's one entry that is more than a client
  if (path === 'packages/client/src/local.ts' && ['adapter-dotenv', 'core'].includes(other)) return undefined
  if (!allowed.ours.includes(other) && !(name === 'broker' && isOutside)) return not(`${name} may not know ${other}`)
  if (name === 'cli' && other === 'broker' && !dynamic && !typeOnly) return not('commands load the broker by import()')
  if (!isOutside) return undefined
  if (path !== 'packages/broker/src/compose.ts') return not('only compose.ts names adapters')
  return dynamic || typeOnly || sub === 'options' ? undefined : not('adapters are loaded by import(), so that no SDK loads unasked')
}

const drawers = /(^|\/)(utils?|helpers?|common|shared|types)\.ts$/
const pure = /^packages\/(core|policy|envelope)\/src\//
const impure =
  /\b(Date\.now|Math\.random|performance\.now|setTimeout|setInterval|randomBytes|randomUUID|randomFillSync)\b|\bfetch\(|\bnew Date\(\)/
const ciphers = /\bcreate(Cipheriv|Decipheriv)\b/
const linesMax = 400

/** Every broken rule of shape: size, drawers, time and randomness outside their ports, ciphers outside their module. */
export function shapeViolations({ path, text }: SourceFile): readonly string[] {
  const found: string[] = []
  const lines = text.split('\n').length - 1
  if (lines > linesMax) found.push(`${path} has ${lines} lines; ${linesMax} is the most`)
  if (drawers.test(path)) found.push(`${path}: name a file for the noun inside`)
  if (isTest(path)) return found
  if (pure.test(path) && impure.test(withoutComments(text))) found.push(`${path}: time, randomness and I/O come in through a port`)
  if (ciphers.test(text) && path.startsWith('packages/') && path !== 'packages/envelope/src/aead.ts')
    found.push(`${path}: one module may use ciphers`)
  if (path.startsWith('packages/') && /from '[^']*\/test\//.test(text)) found.push(`${path}: production imports no tests`)
  return found
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '')
}

/** What every adapter has, so that any two can be laid side by side. */
export const adapterFiles = [
  'README.md',
  'package.json',
  'src/classify.ts',
  'src/client.ts',
  'src/conformance.test.ts',
  'src/index.ts',
  'src/names.ts',
  'src/options.ts',
  'src/store.ts',
]

/** The files that an adapter lacks. */
export function missingAdapterFiles(paths: readonly string[]): readonly string[] {
  const adapters = new Set(paths.flatMap(path => /^packages\/(adapter-[^/]+)\//.exec(path)?.[1] ?? []))
  return [...adapters].flatMap(adapter => adapterFiles.map(file => `packages/${adapter}/${file}`).filter(file => !paths.includes(file)))
}

/** Exported symbols of a package's index that have no docstring. `read` gives a file's text. */
export function undocumented(index: string, read: (path: string) => string): readonly string[] {
  const folder = index.slice(0, index.lastIndexOf('/'))
  const found: string[] = []
  for (const [, names, from] of read(index).matchAll(/^export\s+(?:type\s+)?(\*|\{[^}]*\})\s+from\s+'\.\/([^']+)'/gm)) {
    const path = `${folder}/${from}`
    const wanted =
      names === '*'
        ? undefined
        : (names ?? '')
            .replace(/[{}]/g, '')
            .split(',')
            .map(
              part =>
                part
                  .trim()
                  .replace(/^type\s+/, '')
                  .split(/\s+as\s+/)[0],
            )
    const lines = read(path).split('\n')
    for (const [at, line] of lines.entries()) {
      const name = /^export\s+(?:abstract\s+)?(?:async\s+)?(?:function\*?|class|interface|const|type)\s+(\w+)/.exec(line)?.[1]
      // what a type infers from a schema is documented at the schema
      if (/=\s*z\.(infer|input|output)</.test(line)) continue
      if (name === undefined || (wanted !== undefined && !wanted.includes(name))) continue
      if (!lines[at - 1]?.trimEnd().endsWith('*/')) found.push(`${path}:${at + 1} ${name}`)
    }
  }
  return found
}
