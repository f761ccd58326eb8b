import { createSecretKey, randomUUID } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '@keyturn/core'
import { type AuditEvent, AuditLog, type AuditSettings, type AuditTrouble, type Verdict, verify } from '../src/index.ts'

export const key = { id: 'a1', key: createSecretKey(Buffer.alloc(32, 7)) }
export const findKey = (id: string) => (id === key.id ? key.key : undefined)

/** A clock that a test moves. */
export class HandClock implements Clock {
  #at = Date.UTC(2026, 10, 21, 15)
  #timers: Array<{ at: number; run: () => void }> = []

  now(): Date {
    return new Date(this.#at)
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#at + ms, run }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter(other => other !== timer)
    }
  }

  advance(ms: number): void {
    this.#at += ms
    const due = this.#timers.filter(timer => timer.at <= this.#at)
    this.#timers = this.#timers.filter(timer => timer.at > this.#at)
    for (const timer of due) timer.run()
  }
}

export function event(requestId: string = randomUUID(), more: Partial<AuditEvent> = {}): AuditEvent {
  return {
    principal: 'token:checkout',
    action: 'read',
    secret: 'agentaskit/api-keys',
    version: '7',
    field: 'api_key',
    outcome: 'allowed',
    code: null,
    requestId,
    source: '127.0.0.1',
    ...more,
  }
}

/** A log in a new folder of the real disk, or on the disk given. */
export async function openLog(
  more: Partial<AuditSettings> = {},
): Promise<{ log: AuditLog; clock: HandClock; troubles: AuditTrouble[]; path: string }> {
  const clock = new HandClock()
  const troubles: AuditTrouble[] = []
  const path = more.path ?? join(scratch(), 'audit.jsonl')
  const log = await AuditLog.open({ key, clock, onTrouble: trouble => troubles.push(trouble), ...more, path })
  return { log, clock, troubles, path }
}

export const scratch = () => mkdtempSync(join(tmpdir(), 'keyturn-audit-'))

export const linesOf = (path: string): string[] => readFileSync(path, 'utf8').split('\n').slice(0, -1)

/** A closed log of `count` events, one batch each or all in one. */
export async function writtenLog(count: number, batched = false): Promise<string> {
  const { log, path } = await openLog()
  const appends: Promise<void>[] = []
  for (let at = 1; at <= count; at += 1) {
    const append = log.append(event(`r${at}`))
    if (batched) appends.push(append)
    else await append
  }
  await Promise.all(appends)
  await log.close()
  return path
}

/** Checks bytes that lie on no disk. */
export async function verifyBytes(bytes: Uint8Array): Promise<Verdict> {
  const folder = scratch()
  const path = join(folder, 'audit.jsonl')
  writeFileSync(path, bytes)
  try {
    return await verify(path, { findKey, settleMs: 0 })
  } finally {
    rmSync(folder, { recursive: true })
  }
}
