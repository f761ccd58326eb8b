import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ConfigError } from '../src/complaint.ts'
import { describeConfig } from '../src/description.ts'
import { load } from './files.ts'
import { parseGolden } from './golden.ts'

/** What went wrong with one input; `input` is enough to see it again. */
export interface FuzzFault {
  readonly seed: number
  readonly what: string
  readonly input: string
}

export interface FuzzRun {
  readonly faults: readonly FuzzFault[]
  /** How many inputs loaded, and how many were refused: a run where either is 0 proves little. */
  readonly loaded: number
  readonly refused: number
  readonly slowestMs: number
}

/** Long enough that no sentence holds it by chance, and with characters that YAML, URLs and names each trip over. */
export const canaries = {
  CANARY_WORD: 'zq7canaryzq7word',
  CANARY_URL: 'http://zq7canaryzq7url:8200/path',
  CANARY_SPACED: 'zq7canaryzq7 with: [spaces] #and \\syntax',
  CANARY_LINES: 'zq7canaryzq7\nvault:\n  address: injected',
  CANARY_NUMBER: '73190',
  CANARY_PATH: 'secret/data/zq7canaryzq7/path',
}
const env = { ...canaries, VAULT_ADDR: 'http://127.0.0.1:8200' }
const mark = 'zq7canaryzq7'
const slowMs = 5_000

/** Loads `count` random and mutated configs. The same seed makes the same inputs. */
export async function fuzzConfig(count: number, seed: number): Promise<FuzzRun> {
  const corpus = readCorpus()
  const faults: FuzzFault[] = []
  let loaded = 0
  let slowestMs = 0
  for (let index = 0; index < count; index++) {
    const random = new Dice(seed + index)
    const input = makeInput(random, corpus)
    const start = performance.now()
    const outcome = await outcomeOf(input)
    const ms = performance.now() - start
    slowestMs = Math.max(slowestMs, ms)
    if (outcome === 'loaded') loaded++
    const what = outcome !== 'loaded' && outcome !== 'refused' ? outcome : ms > slowMs ? `took ${Math.round(ms)} ms` : undefined
    if (what !== undefined) faults.push({ seed: seed + index, what, input: Buffer.from(input).toString('latin1') })
  }
  return { faults, loaded, refused: count - loaded - faults.length, slowestMs }
}

async function outcomeOf(input: Uint8Array): Promise<string> {
  try {
    const config = await load({ 'keyturn.yaml': input, 'other.yaml': 'database: {}\n', 'app.env': 'A=1\nB=2\n' }, { env })
    describeConfig(config)
    return leaks(JSON.stringify(config.warnings)) ? 'a warning holds the value of a variable' : 'loaded'
  } catch (error) {
    if (!(error instanceof ConfigError)) return `threw ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`
    if (error.complaints.length === 0) return 'refused without a complaint'
    if (error.message.split('\n').length !== error.complaints.length) return 'a complaint is not one line'
    return leaks(error.message) || leaks(JSON.stringify(error.complaints))
      ? `a complaint holds the value of a variable: ${error.message}`
      : 'refused'
  }
}

function leaks(text: string): boolean {
  return text.includes(mark) || text.includes(canaries.CANARY_NUMBER)
}

/** Files that load, and files that do not. */
interface Corpus {
  readonly right: readonly string[]
  readonly wrong: readonly string[]
}

function readCorpus(): Corpus {
  const golden = join(import.meta.dirname, 'golden')
  const configs = join(import.meta.dirname, '../../../configs')
  return {
    wrong: readdirSync(golden).flatMap(file => Object.values(parseGolden(readFileSync(join(golden, file), 'utf8')).files)),
    right: [
      readFileSync(join(configs, 'agentaskit/secrets/vault.yaml'), 'utf8'),
      readFileSync(join(configs, 'agentaskit/roles.yaml'), 'utf8'),
      readFileSync(join(configs, 'quickstart/keyturn.yaml'), 'utf8').replace('demo.env', 'app.env'),
      whole,
    ],
  }
}

/** A config with something of everything, variables in many places. */
const whole = `include: [other.yaml]
environment: staging
broker: { listen: "127.0.0.1:8320", ledger: "\${UNSET:-}", keys: { provider: env, prefix: APP }, limits: { value: 64KiB } }
vault:
  address: \${CANARY_URL}
  timeout: 5s
  auth: { method: token, token: "\${CANARY_WORD}" }
  secrets:
    - { path: "\${CANARY_PATH}", key: api_key }
    - { path: secret/data/app/db, key: username, name: "app/db" }
    - { path: secret/data/app/db, key: password, name: "app/db" }
    - { under: secret/data/team/, name: team/ }
secrets:
  app/db: { type: database, issuer: orders, renew: [password], owner: "@\${CANARY_WORD}", labels: { tier: 1.10 } }
  app/url: { derive: "postgres://{username}:{password}@db/app", of: app/db }
  app/signing: { type: jwt, every: 7d, grace: 1h, cache: 10s, verify: [{ sql: "select 1" }] }
issuers:
  orders: { kind: postgres, url: "\${CANARY_URL}" }
rotation:
  types:
    database: { every: 30d, grace: 24h, windows: [{ allow: "0 2 * * 1-5", for: 3h, timeZone: Europe/Berlin }] }
  groups: { symmetric: { types: [jwt] } }
  freezes: [{ from: 2026-12-20, to: 2027-01-03, timeZone: Europe/Berlin }]
publish:
  - { to: kubernetes, namespace: shop, secret: app, keys: { URL: app/url }, every: 1h, restart: [deployment/checkout] }
access:
  roles: { reader: { allow: [{ secrets: ["app/*"], labels: { tier: "\${CANARY_WORD}" }, actions: [read] }] } }
  bindings: [{ role: reader, serviceAccounts: [shop/checkout] }]
audit: { sinks: [{ kind: webhook, url: "\${CANARY_URL}" }] }
alerts: { routes: [{ name: pager, kind: webhook, url: "\${CANARY_URL}" }], escalation: [{ level: 1, to: [pager] }] }
`

/** A small generator with a seed (mulberry32): what a fault was found by must be made again. */
class Dice {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }

  pick<T>(items: readonly T[]): T {
    // every list here has items
    return items[this.below(items.length)] as T
  }
}

const variables = Object.keys(canaries).map(name => `\${${name}}`)
const pieces = [
  ...variables,
  ...variables.map(variable => `"${variable}"`),
  ...['vault', 'database', 'dotenv', 'secrets', 'rotation', 'types', 'access', 'roles', 'publish', 'issuers', 'broker', 'include', 'kind'],
  ...['address', 'auth', 'method', 'path', 'key', 'name', 'under', 'every', 'grace', 'type', 'strategy', 'from', 'derive', 'of', 'windows'],
  ...['api-key', 'jwt', 'generated', 'single-user', '90d', '1h30m', '0777', '1.10', '~', 'true', '-1', '9007199254740993', '1e999', '.inf'],
  ...['secret/data/app/key', 'other.yaml', 'keyturn.yaml', 'app.env', '"0 2 * * *"', 'Europe/Berlin', '2026-12-20'],
  ...[
    ': ',
    '- ',
    '\n',
    '\n  ',
    '\n    ',
    ', ',
    '{',
    '}',
    '[',
    ']',
    '"',
    "'",
    '|',
    '>',
    '#',
    '&a ',
    '*a',
    '!!str ',
    '? ',
    '---\n',
    '...\n',
    '%YAML 1.2\n',
  ],
  ...[
    `\${`,
    `$\${`,
    `\${}`,
    `\${a b}`,
    `$NAME`,
    `\${UNSET}`,
    `\${UNSET:-x}`,
    '__proto__',
    'constructor',
    'toString',
    '\t',
    '\u0000',
    '\ufeff',
    '\u202e',
    '\r',
  ],
]

function makeInput(random: Dice, corpus: Corpus): Uint8Array {
  const way = random.below(10)
  if (way === 0) return Uint8Array.from({ length: random.below(300) }, () => random.below(256))
  if (way <= 2) return Buffer.from(Array.from({ length: random.below(80) }, () => random.pick(pieces)).join(''))
  let text = random.pick(way < 7 ? corpus.right : corpus.wrong)
  for (let left = 1 + random.below(way === 3 ? 30 : way < 7 ? 1 : 4); left > 0; left--) text = mutate(text, random, corpus)
  const bytes = Buffer.from(text)
  if (way === 4 && bytes.length > 0) bytes[random.below(bytes.length)] = random.below(256)
  return bytes
}

function mutate(text: string, random: Dice, corpus: Corpus): string {
  const at = random.below(text.length + 1)
  const length = random.below(random.pick([2, 8, 40]))
  switch (random.below(7)) {
    case 0:
      return text.slice(0, at) + text.slice(at + length)
    case 1:
      return text.slice(0, at) + random.pick(pieces) + text.slice(at)
    case 2:
      return text.slice(0, at) + text.slice(at, at + length).repeat(2) + text.slice(at + length)
    case 3:
      return text.slice(0, at) + random.pick(corpus.wrong).slice(0, random.below(200)) + text.slice(at)
    case 4:
      return swapLine(text, random)
    default:
      return replaceWord(text, random)
  }
}

// a word or a value replaced keeps the rest of the file meaningful, and so reaches the deeper checks
function replaceWord(text: string, random: Dice): string {
  const words = [...text.matchAll(/[^\s,[\]{}:]+/g)]
  if (words.length === 0) return text
  const word = random.pick(words)
  return text.slice(0, word.index) + random.pick(pieces) + text.slice(word.index + word[0].length)
}

function swapLine(text: string, random: Dice): string {
  const lines = text.split('\n')
  const from = random.below(lines.length)
  const [line] = lines.splice(from, 1)
  lines.splice(random.below(lines.length + 1), 0, line ?? '')
  return lines.join('\n')
}
