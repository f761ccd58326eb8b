import { claim, claimFails, claimSame, collect, freshValue, intent } from '../claim.ts'
import type { StoreCheck } from '../harness.ts'

/** What can be done to one version. */
export const versionChecks: readonly StoreCheck[] = [
  {
    title: 'tells its versions newest first, each with its state',
    needs: ['versions'],
    async run(store, harness) {
      const path = harness.freshPath()
      const made = [
        await store.write(path, freshValue(harness), intent()),
        await store.write(path, freshValue(harness), intent()),
        await store.write(path, freshValue(harness), intent()),
      ]
      const told = await collect(store.versions(path))
      claim(told.length === made.length, `of ${made.length} versions ${told.length} are told`)
      claim(
        told.every((info, index) => info.version === made[made.length - 1 - index]?.version),
        'versions are not told newest first',
      )
      claim(
        told[0]?.state === 'current' && told.filter(info => info.state === 'current').length === 1,
        'not exactly the newest version is current',
      )
      claim(told[0]?.etag === made[2]?.etag, 'versions and write tell different etags')
      claim(!('value' in (told[0] ?? {})), 'a value is told with the versions')
      const orders = told.map(info => info.order)
      claim(
        orders.every(order => order === undefined) ||
          orders.every((order, index) => index === 0 || (order ?? 0) < (orders[index - 1] ?? 0)),
        'order does not fall from newest to oldest',
      )
    },
  },
  {
    title: 'withholds a disabled version and gives it back',
    needs: ['disable', 'enable'],
    async run(store, harness) {
      const path = harness.freshPath()
      const value = freshValue(harness)
      const first = await store.write(path, value, intent())
      const current = freshValue(harness)
      await store.write(path, current, intent())
      await store.disable(path, first.version)
      await store.disable(path, first.version)
      await claimFails(store.read(path, { version: first.version }), 'precondition_failed', 'a read of a disabled version')
      claimSame((await store.read(path)).value, current, 'the current value while another version is disabled')
      if (store.can.has('versions')) {
        const told = (await collect(store.versions(path))).find(info => info.version === first.version)
        claim(told?.state === 'disabled', `a disabled version is said to be ${told?.state}`)
      }
      await store.enable(path, first.version)
      await store.enable(path, first.version)
      claimSame((await store.read(path, { version: first.version })).value, value, 'a version enabled again')
      claimSame((await store.read(path)).value, current, 'the current value after another version was enabled')
    },
  },
  {
    title: 'refuses to disable the current version',
    needs: ['disable'],
    async run(store, harness) {
      const path = harness.freshPath()
      await store.write(path, freshValue(harness), intent())
      const value = freshValue(harness)
      const current = await store.write(path, value, intent())
      await claimFails(store.disable(path, current.version), 'precondition_failed', 'disabling the current version')
      claimSame((await store.read(path)).value, value, 'the current value')
    },
  },
  {
    title: 'cannot read a destroyed version and destroys it again without complaint',
    needs: ['destroy'],
    async run(store, harness) {
      const path = harness.freshPath()
      const first = await store.write(path, freshValue(harness), intent())
      const current = freshValue(harness)
      await store.write(path, current, intent())
      await store.destroy(path, first.version)
      await claimFails(store.read(path, { version: first.version }), ['not_found', 'precondition_failed'], 'a read of a destroyed version')
      await store.destroy(path, first.version)
      if (store.can.has('enable')) {
        await store.enable(path, first.version).catch(() => undefined)
        await claimFails(
          store.read(path, { version: first.version }),
          ['not_found', 'precondition_failed'],
          'a read of a destroyed version after enable',
        )
      }
      claimSame((await store.read(path)).value, current, 'the current value after another version was destroyed')
    },
  },
  {
    title: 'refuses to destroy the current version',
    needs: ['destroy'],
    async run(store, harness) {
      const path = harness.freshPath()
      await store.write(path, freshValue(harness), intent())
      const value = freshValue(harness)
      const current = await store.write(path, value, intent())
      await claimFails(store.destroy(path, current.version), 'precondition_failed', 'destroying the current version')
      claimSame((await store.read(path)).value, value, 'the current value')
    },
  },
]
