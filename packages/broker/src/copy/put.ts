import { createHmac, type KeyObject } from 'node:crypto'
import { BrokerError, type Etag, type SecretVersion, type VersionId } from '@keyturn/core'
import { fingerprint } from './carry.ts'
import type { Look, Looking, Step } from './look.ts'
import type { Move } from './move.ts'

const attemptsMax = 3

/** What a write needs of a look: of where it comes from only the name. */
export type Putting = Pick<Looking, 'store' | 'key'> & {
  readonly from: { readonly name: string }
  readonly to: Pick<Looking['to'], 'name' | 'read' | 'write'>
}

/**
 * Writes what a look found to be left, oldest first, each over what was seen before it. The intent has the same key in every run as long as both stores
 * stand as they do now. Answers the version that is current then. Errors: `conflict` when somebody else wrote, `outcome_unknown` when the store cannot be
 * asked what became of a write, those of the store.
 */
export async function put(looking: Putting, move: Move, { before, steps }: Pick<Look, 'before' | 'steps'>): Promise<VersionId | null> {
  let etag = before?.etag ?? null
  let version = before?.version ?? null
  for (const [at, step] of steps.entries()) {
    const made = await putOne(looking, move, step, etag, intentKey(looking, move, step, [String(at), etag ?? '']))
    etag = made.etag
    version = made.version
  }
  return version
}

async function putOne(looking: Putting, move: Move, step: Step, etag: Etag | null, idempotencyKey: string) {
  const { to, store, key } = looking
  const names = move.items.map(({ name }) => name)
  const condition = store.guarantees.cas ? { ifMatch: etag } : {}
  for (let attempt = 1; ; attempt++) {
    try {
      return await to.write(move.path, names, step.value, { idempotencyKey, ...condition })
    } catch (error) {
      if (!(error instanceof BrokerError) || !mayHaveHappened.has(error.code)) throw error
      const now = await to.read(move.path, names)
      if (now !== undefined && now.etag !== etag && isMade(key, now, step)) return now
      // nothing happened: the same intent may go out again
      const isUntouched = (now?.etag ?? null) === etag
      if (!isUntouched || error.code === 'conflict' || attempt === attemptsMax) throw error
    }
  }
}

/** After these only a look tells. A conflict may be with our own write, whose answer was lost. */
const mayHaveHappened: ReadonlySet<string> = new Set(['outcome_unknown', 'conflict', 'internal'])

function isMade(key: KeyObject, now: SecretVersion, step: Step): boolean {
  return fingerprint(key, now.value) === fingerprint(key, step.value)
}

/** A UUID (RFC 9562, version 8) of this write: what goes where, over what. */
function intentKey({ from, to, key }: Putting, move: Move, step: Step, state: readonly string[]): string {
  const places = [from.name, ...move.items.map(item => item.from.path), to.name, move.path]
  const digest = createHmac('sha256', key).update(
    JSON.stringify(['keyturn/copy-intent/1', ...places, step.of, fingerprint(key, step.value), ...state]),
  )
  const hex = digest.digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${((Number.parseInt(hex.slice(16, 18), 16) & 0x3f) | 0x80).toString(16)}${hex.slice(18, 20)}-${hex.slice(20, 32)}`
}
