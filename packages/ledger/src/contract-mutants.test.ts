import { AssertionError } from 'node:assert'
import { randomBytes, randomUUID } from 'node:crypto'
import { BrokerError, type Lease, type Rotation, type Sealed } from '@keyturn/core'
import { expect, test } from 'vitest'
import { campaignMutants } from '../test/campaign-mutants.ts'
import { envelopeMutants } from '../test/envelope-mutants.ts'
import { kekMutants } from '../test/kek-mutants.ts'
import { type Mutant, planted } from '../test/mutant.ts'
import { ledgerContract } from './contract.ts'
import type { WriteIntent } from './ledger.ts'
import { MemoryLedger } from './memory/ledger.ts'

const never = async () => {}

const mutants: readonly Mutant[] = [
  {
    fault: 'backups are never forgotten',
    caughtBy: 'a backup is forgotten when its time is over, and nothing that somebody may still need',
    plant: () => ({ secrets: { forget: async () => 0 } }),
  },
  {
    fault: 'a revoked value is forgotten before its time',
    caughtBy: 'a revoked version keeps its backup for as long as was asked, an encryption key and a quarantined value for ever',
    plant: ({ secrets }) => ({ secrets: { forget: before => secrets.forget(new Date(before.getTime() + 60_000)) } }),
  },
  {
    fault: 'an older epoch may record',
    caughtBy: 'a holder under an older epoch affects nothing',
    plant: ({ journal }) => {
      let newest: Lease | null = null
      const claim: typeof journal.claim = async options => {
        newest = await journal.claim(options)
        return newest
      }
      return { journal: { claim, record: (lease, change) => journal.record(newest ?? lease, change) } }
    },
  },
  {
    fault: 'a lease that ran out may record',
    caughtBy: 'a holder whose lease ran out affects nothing, even before anybody took over',
    plant: ({ journal }) => ({
      journal: {
        record: async (lease, change) => {
          const again = await journal.claim({ holder: lease.holder, leaseMs: lease.leaseMs, rotation: lease.rotation.id })
          return journal.record(again ?? lease, change)
        },
      },
    }),
  },
  {
    fault: 'an abandoned lease is not called so',
    caughtBy: 'a lease that ran out is taken over and called abandoned; one given back is not',
    plant: ({ journal }) => ({
      journal: {
        claim: async options => {
          const lease = await journal.claim(options)
          return lease && { ...lease, abandoned: false }
        },
      },
    }),
  },
  {
    fault: 'a lease is never given back',
    caughtBy: 'a lease that ran out is taken over and called abandoned; one given back is not',
    plant: ({ journal }) => ({ journal: { record: (lease, change) => journal.record(lease, { ...change, release: false }) } }),
  },
  {
    fault: 'a claim asked for by name takes what is not due',
    caughtBy: 'a claim leaves alone what is not due, asked for or not',
    plant: ({ journal }) => ({
      journal: {
        claim: async options => {
          if (options.rotation !== undefined) await journal.wish(options.rotation, null).catch(() => {})
          return journal.claim(options)
        },
      },
    }),
  },
  {
    fault: 'numbers are counted from the rows that are there',
    caughtBy: 'numbers are given out once, from 1, whatever becomes of them',
    plant: ({ journal }) => ({
      journal: { reserve: async lease => ((await journal.versions(lease.rotation.secretId))[0]?.number ?? 0) + 1 },
    }),
  },
  {
    fault: 'events are written after the change, and lost',
    caughtBy: 'events are delivered once each, in order, and their numbers never come back',
    plant: ({ journal }) => ({ journal: { record: (lease, { events: _, ...change }) => journal.record(lease, change) } }),
  },
  {
    fault: 'a revocation is forgotten',
    caughtBy: 'a revocation is a row of the rotation that made it, due when it says',
    plant: ({ journal }) => ({ journal: { record: (lease, { revocations: _, ...change }) => journal.record(lease, change) } }),
  },
  {
    fault: 'a compromise opens like any other',
    caughtBy: 'a compromise takes over the revocations of a promoted rotation, due now, and ends the grace',
    plant: ({ journal }) => ({ journal: { open: request => journal.open({ ...request, mode: 'normal' }) } }),
  },
  {
    fault: 'a wish is noted and nobody woken',
    caughtBy: 'a wish that comes while a holder works is not slept over',
    plant: ({ journal }) => ({
      journal: {
        wish: async (id, wish) => ({ ...(await journal.rotation(id)), wish }),
      },
    }),
  },
  {
    fault: 'a rollback is granted in any state',
    caughtBy: 'an abort is for rotations that are not promoted, a rollback for those that are',
    plant: ({ journal }) => ({
      journal: {
        wish: async (id, wish) =>
          journal.wish(id, wish).catch(() => journal.rotation(id).then((rotation): Rotation => ({ ...rotation, wish }))),
      },
    }),
  },
  {
    fault: 'in grace nobody is told until when',
    caughtBy: 'in grace another rotation is refused with the earliest time',
    plant: ({ journal }) => ({
      journal: {
        open: request =>
          journal.open(request).catch(error => {
            throw Object.assign(error, { detail: undefined, retryAfterMs: undefined })
          }),
      },
    }),
  },
  {
    fault: 'what is handed out is what is kept',
    caughtBy: 'nothing that is handed out or in reaches inside the ledger',
    plant: ({ journal }) => {
      const kept = new Map<string, Awaited<ReturnType<typeof journal.versions>>>()
      const versions: typeof journal.versions = async id => {
        const rows = kept.get(id) ?? (await journal.versions(id))
        kept.set(id, rows)
        return rows
      }
      return { journal: { versions } }
    },
  },
  {
    fault: 'what is being rotated is due again',
    caughtBy: 'due are the secrets whose time has come and that nothing rotates, longest due first',
    plant: ({ secrets, now }) => ({
      secrets: {
        due: async limit => {
          const at = await now()
          return (await secrets.page({ after: null, limit })).filter(row => row.nextRotationAt !== null && row.nextRotationAt <= at)
        },
      },
    }),
  },
  {
    fault: 'pages are sorted by UTF-16',
    caughtBy: 'pages follow the bytes of names, and can show what is open alone',
    plant: ({ secrets }) => ({
      secrets: {
        page: async ({ after, limit, ...options }) => {
          const rows = [...(await secrets.page({ after: null, limit: 1_000, ...options }))].sort((a, b) => (a.name < b.name ? -1 : 1))
          return rows.filter(({ name }) => after === null || name > after).slice(0, limit)
        },
      },
    }),
  },
  {
    fault: 'a held rotation counts as due at once',
    caughtBy: 'the next deadline is the earliest wake or due time; a rotation that is held counts from the end of its lease',
    plant: ({ secrets, nextDeadline }) => ({
      nextDeadline: async () => {
        const [open] = await secrets.page({ after: null, limit: 1, open: true })
        return open?.rotation?.wakeAt ?? nextDeadline()
      },
    }),
  },
  {
    fault: 'a write that did not happen is booked all the same',
    caughtBy: 'a write that did not happen changes no label',
    plant: ({ secrets }) => ({
      secrets: {
        endWrite: (intent, made) =>
          secrets.endWrite(intent, made ?? { version: 'made up' as never, graceUntil: null, nextRotationAt: null }),
      },
    }),
  },
  {
    fault: 'the superseded value is not kept',
    caughtBy: 'a write keeps the superseded value before it reaches the store, and moves current when it has',
    plant: ({ secrets }) => ({ secrets: { beginWrite: write => secrets.beginWrite({ ...write, superseded: null }) } }),
  },
  {
    fault: 'the writes of a dead process are forgotten',
    caughtBy: 'a write is unfinished when nobody can be at it any more',
    plant: () => ({ secrets: { unfinishedWrites: async (): Promise<readonly WriteIntent[]> => [] } }),
  },
  {
    fault: 'a revoked token leaves the revision as it is',
    caughtBy: 'the revision grows with every token made or ended, and with nothing else',
    plant: ({ tokens }) => ({ tokens: { revision: async () => (await tokens.list()).length } }),
  },
  {
    fault: 'a key answers whatever the body',
    caughtBy: 'a key with another body, or whose first request still runs, is refused',
    plant: ({ idempotency }) => ({ idempotency: { begin: key => idempotency.begin({ ...key, bodyHash: new Uint8Array() }) } }),
  },
  {
    fault: 'a request that failed keeps its key',
    caughtBy: 'a request without an answer frees its key; a later end changes no answer',
    plant: ({ idempotency }) => ({
      idempotency: { end: async (key, answer) => (answer === null ? undefined : idempotency.end(key, answer)) },
    }),
  },
  {
    fault: 'a sealed record is overwritten unseen',
    caughtBy: 'a sealed record is written only over what was read',
    plant: ({ sealed }) => ({ sealed: { put: async (name: string, next: Sealed) => sealed.put(name, next, await sealed.get(name)) } }),
  },
  {
    fault: 'delivered events come again',
    caughtBy: 'events are delivered once each, in order, and their numbers never come back',
    plant: () => ({ outbox: { delivered: never } }),
  },
  {
    fault: 'an operation shows its rotations as they began',
    caughtBy: 'an operation shows its items as they stand, in the order they came',
    plant: ({ operations }) => ({
      operations: {
        byId: async id => {
          const operation = await operations.byId(id)
          const began = (rotation: Rotation | null) => rotation && { ...rotation, state: 'queued' as const }
          return operation && { ...operation, items: operation.items.map(item => ({ ...item, rotation: began(item.rotation) })) }
        },
      },
    }),
  },
]

test.each([...mutants, ...envelopeMutants, ...kekMutants, ...campaignMutants])('$fault: caught', async mutant => {
  const check = ledgerContract.find(({ title }) => title === mutant.caughtBy)
  if (check === undefined) throw new Error(`no check is called ${mutant.caughtBy}`)
  let now = Date.UTC(2026, 0, 1)
  const advance = async (ms: number) => {
    now += ms
  }
  const random = { bytes: (count: number) => randomBytes(count), uuid: () => randomUUID() }
  const ledger = new MemoryLedger({ now: () => new Date(now), after: () => () => {} }, random)
  const found = await check.run({ ledger: planted(ledger, mutant), advance }).catch((error: unknown) => error)
  // it demanded something that is not so, or something was refused that it needs; any other error is a fault of the mutant
  expect(found instanceof AssertionError || found instanceof BrokerError, String(found)).toBe(true)
})
