import { BrokerError } from '@keyturn/core'
import type { TokenRow } from '@keyturn/ledger'
import type { Broker } from '../broker.ts'
import { makeToken, tokenMac } from './token.ts'

/** A token that somebody wants. */
export interface TokenWish {
  readonly role: string
  /** null: until it is revoked. */
  readonly ttlMs: number | null
  readonly name?: string
}

type Parts = Pick<Broker, 'clock' | 'random' | 'ledger' | 'keys' | 'policy'> & { readonly sessions: Pick<Broker['sessions'], 'forget'> }

/** Makes a token for a role that exists. Only its MAC is kept: the answer is the one place where it can be read. */
export async function issueToken(broker: Parts, wish: TokenWish): Promise<{ readonly token: string; readonly row: TokenRow }> {
  if (!broker.policy.hasRole(wish.role)) {
    throw new BrokerError('invalid_argument', 'there is no such role', { hint: 'take one of access.roles, or admin' })
  }
  const token = makeToken(broker.random)
  const id = `tok_${Buffer.from(broker.random.bytes(12)).toString('hex')}`
  const now = broker.clock.now().getTime()
  const row = await broker.ledger.tokens.add({
    id,
    name: wish.name ?? id,
    role: wish.role,
    mac: tokenMac(broker.keys.token.key, token),
    expiresAt: wish.ttlMs === null ? null : new Date(now + wish.ttlMs),
  })
  broker.sessions.forget()
  return { token, row }
}
