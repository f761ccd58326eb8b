import { BrokerError } from '@keyturn/core'
import type { Head } from './chain.ts'

/** An anchor: the head of the chain, kept where who can change the log cannot change it. One JSON object `{seq, hash}`; other members are ignored. */
export function readAnchor(text: string): Head {
  const broken = new BrokerError('invalid_argument', 'this is not an anchor: it needs {"seq": <number>, "hash": "<64 hex characters>"}')
  try {
    const { seq, hash }: { seq?: unknown; hash?: unknown } = JSON.parse(text)
    if (typeof seq !== 'number' || !Number.isSafeInteger(seq) || typeof hash !== 'string' || !/^[0-9a-f]{64}$/.test(hash)) throw broken
    return { seq, hash }
  } catch {
    throw broken
  }
}

export function writeAnchor(head: Head, at: Date): string {
  return `${JSON.stringify({ seq: head.seq, hash: head.hash, time: at.toISOString() })}\n`
}
