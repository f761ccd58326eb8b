import { relative } from 'node:path'
import type { RunningBroker } from '@keyturn/broker'
import type { SecretConfig } from '@keyturn/config'

/** What a person reads when a broker has started: where it is, where the token is, and what to try. */
export function welcome({ address, config, tokenFile }: RunningBroker, cwd: string): string {
  const near = relative(cwd, tokenFile)
  const token = near.startsWith('..') ? tokenFile : near
  const prefix = address === 'http://127.0.0.1:8320' ? '' : `KEYTURN_ADDR=${address} `
  const tries = triesFor([...config.secrets.values()]).map(([command, what]) => ({
    line: `${prefix}npx --no keyturn ${command} --token-file ${shellWord(token)}`,
    what,
  }))
  const lines = [`Keyturn answers at ${address}`, `The admin token is in ${token}`, '', 'Try, in another terminal:']
  for (const { line, what } of tries) lines.push('', `  # ${what}`, `  ${line}`)
  return `${lines.join('\n')}\n`
}

/** The secret that moves soonest, another to rotate, and all of them to watch; each may be given twice. */
function triesFor(secrets: readonly SecretConfig[]): readonly (readonly [command: string, what: string])[] {
  const made = secrets.filter(secret => secret.strategy === 'generated' && secret.built && secret.every !== null)
  const [moving, other = moving] = made.sort((a, b) => (a.every?.ms ?? 0) - (b.every?.ms ?? 0))
  const watch = ['status --watch', 'see versions move, keep their grace, and end'] as const
  if (moving === undefined || other === undefined) return [['list', 'what there is'], ['status', 'what is due'], watch]
  return [
    [`get ${shellWord(moving.name)}`, 'read one'],
    // a plain rotation would be refused the second time, while the first one's grace runs
    [`rotate ${shellWord(other.name)} --compromise --wait`, 'rotate one now'],
    watch,
  ]
}

function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
