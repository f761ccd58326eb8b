import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Clock, Random } from '@keyturn/core'
import { afterAll, describe, test } from 'vitest'
import { ledgerContract, type Subject } from './contract.ts'
import type { Ledger } from './ledger.ts'
import { MemoryLedger } from './memory/ledger.ts'
import { openLedger } from './open.ts'

const random: Random = { bytes: count => randomBytes(count), uuid: () => randomUUID() }

function settable(): { readonly clock: Clock; readonly advance: (ms: number) => Promise<void> } {
  let now = Date.UTC(2026, 0, 1)
  const advance = async (ms: number) => {
    now += ms
  }
  return { clock: { now: () => new Date(now), after: () => () => {} }, advance }
}

describe('the ledger in memory', () => {
  for (const check of ledgerContract) {
    test(check.title, async () => {
      const { clock, advance } = settable()
      const ledger = new MemoryLedger(clock, random)
      const restart = async () => {
        ledger.restart()
        return ledger
      }
      await check.run({ ledger, advance, restart })
    })
  }
})

describe('the ledger in SQLite', () => {
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-ledger-'))
  afterAll(() => rmSync(folder, { recursive: true }))

  for (const [index, check] of ledgerContract.entries()) {
    test(check.title, async () => {
      const { clock, advance } = settable()
      const open: Ledger[] = []
      const start = async () => {
        const ledger = await openLedger({ data: join(folder, `${index}`), clock, random })
        open.push(ledger)
        return ledger
      }
      const subject: Subject = {
        ledger: await start(),
        advance,
        restart: async () => {
          await open.at(-1)?.close()
          return start()
        },
      }
      try {
        await check.run(subject)
      } finally {
        await open.at(-1)?.close()
      }
    })
  }
})
