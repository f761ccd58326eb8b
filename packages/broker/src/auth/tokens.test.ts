import { createSecretKey } from 'node:crypto'
import { MemoryLedger } from '@keyturn/ledger'
import { beforeEach, expect, test } from 'vitest'
import { pooledRandom } from '../random.ts'
import { makeToken, tokenMac } from './token.ts'
import { TokenSessions } from './tokens.ts'

const random = pooledRandom()
const key = createSecretKey(Buffer.alloc(32, 7))
let nowMs: number
let ledger: MemoryLedger
let sessions: TokenSessions
const clock = { now: () => new Date(nowMs), after: () => () => undefined }

beforeEach(() => {
  nowMs = Date.UTC(2026, 0, 1)
  ledger = new MemoryLedger(clock, random)
  sessions = new TokenSessions({ tokens: ledger.tokens, key, clock })
})

async function issue(ttlMs: number | null = null): Promise<{ id: string; header: string }> {
  const token = makeToken(random)
  const id = random.uuid()
  const expiresAt = ttlMs === null ? null : new Date(nowMs + ttlMs)
  await ledger.tokens.add({ id, name: 'ci', role: 'reader', mac: tokenMac(key, token), expiresAt })
  return { id, header: `Bearer ${token}` }
}

test('a token that holds has a session, with its role and the name that bindings know', async () => {
  const { header } = await issue()
  const session = await sessions.find(header)
  expect(session?.principal).toEqual({ id: 'token:ci', roles: ['reader'] })
  expect(sessions.known(header, nowMs)).toBe(session)
})

test('no token, another scheme, and tokens that are none or unknown have none', async () => {
  const { header } = await issue()
  for (const wrong of [
    undefined,
    '',
    'Bearer',
    'Bearer ',
    header.replace('Bearer', 'Basic'),
    `${header}x`,
    `Bearer ${makeToken(random)}`,
  ]) {
    expect(await sessions.find(wrong)).toBeNull()
    expect(sessions.known(wrong, nowMs)).toBeUndefined()
  }
})

test('a token that ends is refused from that moment, known or not', async () => {
  const { header } = await issue(500)
  expect(await sessions.find(header)).not.toBeNull()
  nowMs += 499
  expect(sessions.known(header, nowMs)).toBeDefined()
  nowMs += 1
  expect(sessions.known(header, nowMs)).toBeUndefined()
  expect(await sessions.find(header)).toBeNull()
})

test('a revocation by another broker is seen within a second', async () => {
  const { id, header } = await issue()
  await sessions.find(header)
  await ledger.tokens.revoke(id)
  // nobody told these sessions: what is known is trusted for less than a second
  nowMs += 1_000
  expect(sessions.known(header, nowMs)).toBeUndefined()
  expect(await sessions.find(header)).toBeNull()
})

test('news are fetched behind the requests before anybody has to wait for them', async () => {
  const { id, header } = await issue()
  await sessions.find(header)
  await ledger.tokens.revoke(id)
  nowMs += 500
  // known still, and the look at the news begins
  expect(sessions.known(header, nowMs)).toBeDefined()
  await new Promise(resolve => setImmediate(resolve))
  expect(sessions.known(header, nowMs)).toBeUndefined()
})

test('a clock that jumps back makes nothing live longer', async () => {
  const { header } = await issue()
  await sessions.find(header)
  nowMs -= 3_600_000
  expect(sessions.known(header, nowMs)).toBeUndefined()
  expect(await sessions.find(header)).not.toBeNull()
})
