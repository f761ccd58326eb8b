import { claim, claimFails, claimSame, collect, freshValue, intent } from '../claim.ts'
import type { StoreCheck } from '../harness.ts'

/** What holds between staging a version and promoting it. */
export const stageChecks: readonly StoreCheck[] = [
  {
    title: 'hides a staged version until promoted',
    needs: ['stages'],
    async run(store, harness) {
      const path = harness.freshPath()
      const [old, next] = [freshValue(harness), freshValue(harness)]
      const current = await store.write(path, old, intent())
      const staged = await store.stage(path, next, intent())
      claim(staged.state === 'pending', `a staged version is said to be ${staged.state}`)
      const meanwhile = await store.read(path)
      claimSame(meanwhile.value, old, 'the current value while another is staged')
      claim(meanwhile.version === current.version && meanwhile.etag === current.etag, 'staging changed version or etag of the current one')
      claimSame((await store.read(path, { version: staged.version })).value, next, 'the staged value, asked for by its id')
      if (store.can.has('versions')) {
        const told = (await collect(store.versions(path))).find(info => info.version === staged.version)
        claim(told?.state === 'pending', `a staged version is told as ${told?.state}`)
      }
      await store.promote(path, { from: current.version, to: staged.version })
      const after = await store.read(path)
      claimSame(after.value, next, 'the value after promotion')
      claim(after.version === staged.version && after.etag !== current.etag, 'promotion changed the value but not the version or the etag')
      const before = await store.read(path, { version: current.version })
      claimSame(before.value, old, 'the previous value')
      claim(before.state === 'previous', `the version before is said to be ${before.state}`)
    },
  },
  {
    title: 'refuses a stale promotion',
    needs: ['stages'],
    async run(store, harness) {
      const path = harness.freshPath()
      const first = await store.write(path, freshValue(harness), intent())
      const staged = await store.stage(path, freshValue(harness), intent())
      const value = freshValue(harness)
      const second = await store.write(path, value, intent())
      await claimFails(
        store.promote(path, { from: first.version, to: staged.version }),
        'conflict',
        'a promotion from a version no longer current',
      )
      await claimFails(store.promote(path, { from: null, to: staged.version }), 'conflict', 'a promotion that expected no current version')
      const read = await store.read(path)
      claimSame(read.value, value, 'the current value after a refused promotion')
      claim(read.version === second.version, 'a refused promotion moved current')
    },
  },
  {
    title: 'promotes twice as happily as once',
    needs: ['stages'],
    async run(store, harness) {
      const path = harness.freshPath()
      const first = await store.write(path, freshValue(harness), intent())
      const next = freshValue(harness)
      const staged = await store.stage(path, next, intent())
      await store.promote(path, { from: first.version, to: staged.version })
      await store.promote(path, { from: first.version, to: staged.version })
      claimSame((await store.read(path)).value, next, 'the value after two promotions')
    },
  },
  {
    title: 'stages one version of one intent',
    needs: ['stages', 'idempotent'],
    async run(store, harness) {
      const path = harness.freshPath()
      const first = await store.write(path, freshValue(harness), intent())
      const once = intent()
      const next = freshValue(harness)
      const staged = await store.stage(path, next, once)
      claim((await store.stage(path, next, once)).version === staged.version, 'one intent staged two versions')
      await claimFails(store.stage(path, freshValue(harness), once), 'conflict', 'a second value under one key')
      await store.promote(path, { from: first.version, to: staged.version })
      claim(
        (await store.stage(path, next, once)).version === staged.version,
        'an intent sent again after promotion staged a second version',
      )
      claimSame((await store.read(path)).value, next, 'the promoted value')
    },
  },
]
