import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { Caller, counting, sequences } from '../test/agreement.ts'
import { callRegisters, registerCalls } from '../test/register-calls.ts'
import { MemoryLedger } from './memory/ledger.ts'
import { openSqlite } from './sqlite/open.ts'

const folder = mkdtempSync(join(tmpdir(), 'keyturn-agreement-'))
afterAll(() => rmSync(folder, { recursive: true }))

test('memory and SQLite answer every sequence of calls alike', async () => {
  let runs = 0
  await fc.assert(
    fc.asyncProperty(sequences, async steps => {
      let now = Date.UTC(2026, 0, 1)
      const clock = { now: () => new Date(now), after: () => () => {} }
      const pass = async (ms: number) => {
        now += ms
      }
      const memory = new Caller(new MemoryLedger(clock, counting()), async () => {})
      runs += 1
      const sqlite = new Caller(await openSqlite(join(folder, `${runs}`), clock, counting()), pass)
      try {
        for (const taken of steps) expect(await sqlite.take(taken)).toEqual(await memory.take(taken))
      } finally {
        await sqlite.ledger.close()
      }
    }),
    { numRuns: 60 },
  )
}, 60_000)

test('memory and SQLite answer every sequence of calls of their registers alike', async () => {
  let runs = 0
  await fc.assert(
    fc.asyncProperty(registerCalls, async calls => {
      let now = Date.UTC(2026, 0, 1)
      const clock = { now: () => new Date(now), after: () => () => {} }
      const pass = async (ms: number) => {
        now += ms
      }
      runs += 1
      const memory = new MemoryLedger(clock, counting())
      const sqlite = await openSqlite(join(folder, `registers-${runs}`), clock, counting())
      try {
        for (const call of calls) {
          const answered = await callRegisters(sqlite, call, pass)
          expect(answered).toEqual(await callRegisters(memory, call, async () => {}))
        }
      } finally {
        await sqlite.close()
      }
    }),
    { numRuns: 40 },
  )
}, 60_000)
