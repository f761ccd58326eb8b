import assert from 'node:assert/strict'
import type { BackupRecord, Ledger } from '../ledger.ts'
import { type LedgerCheck, minute, refused } from './subject.ts'

const bundle = (id: string, more: Partial<BackupRecord> = {}): Omit<BackupRecord, 'createdAt'> => ({
  id,
  file: `/var/lib/keyturn/backups/${id}.jsonl`,
  host: 'broker-1',
  reason: 'before a rotation',
  bytes: 1_024,
  sha256: 'aa',
  versions: 3,
  keks: { k1: 2, k2: 1 },
  keepUntil: null,
  ...more,
})
const renewed = { bytes: 2_048, sha256: 'bb', keks: { k2: 3 } }
const ids = async (ledger: Ledger): Promise<readonly string[]> => (await ledger.backups.all()).map(({ id }) => id)

/** The bundles that are kept. */
export const backupChecks: readonly LedgerCheck[] = [
  {
    title: 'backups are listed as they were told of, oldest first',
    run: async ({ ledger, advance }) => {
      const keepUntil = new Date((await ledger.now()).getTime() + minute)
      const first = await ledger.backups.add(bundle('bak_2'))
      assert(first.createdAt <= (await ledger.now()))
      await advance(minute)
      const second = await ledger.backups.add(bundle('bak_1', { keepUntil, versions: 0, keks: {} }))
      assert.deepEqual(second, { ...bundle('bak_1'), keepUntil, versions: 0, keks: {}, createdAt: second.createdAt })
      assert.deepEqual(await ledger.backups.all(), [first, second])
      await refused('conflict', ledger.backups.add(bundle('bak_1', { sha256: 'cc' })))
      assert.deepEqual(await ledger.backups.all(), [first, second])
    },
  },
  {
    title: 'a backup is renewed over what was read alone',
    run: async ({ ledger }) => {
      const backup = await ledger.backups.add(bundle('bak_1'))
      await refused('conflict', ledger.backups.renew('bak_1', 'bb', renewed))
      await refused('conflict', ledger.backups.renew('bak_9', 'aa', renewed))
      assert.deepEqual(await ledger.backups.all(), [backup])
      await ledger.backups.renew('bak_1', 'aa', renewed)
      await refused('conflict', ledger.backups.renew('bak_1', 'aa', { ...renewed, bytes: 1 }))
      assert.deepEqual(await ledger.backups.all(), [{ ...backup, ...renewed }])
    },
  },
  {
    title: 'of many that renew a backup at once, one does',
    run: async ({ ledger }) => {
      await ledger.backups.add(bundle('bak_1'))
      const tries = await Promise.allSettled(
        Array.from({ length: 6 }, (_, index) => ledger.backups.renew('bak_1', 'aa', { ...renewed, sha256: `b${index}` })),
      )
      assert.equal(tries.filter(({ status }) => status === 'fulfilled').length, 1)
    },
  },
  {
    title: 'a backup that is removed is not listed any more; twice is once',
    run: async ({ ledger }) => {
      await ledger.backups.add(bundle('bak_1'))
      await ledger.backups.add(bundle('bak_2'))
      await ledger.backups.remove('bak_1')
      await ledger.backups.remove('bak_1')
      assert.deepEqual(await ids(ledger), ['bak_2'])
      await ledger.backups.add(bundle('bak_1'))
      assert.deepEqual(await ids(ledger), ['bak_2', 'bak_1'])
    },
  },
]
