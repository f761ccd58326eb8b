import type { Etag } from '@keyturn/core'
import { BrokerError } from '@keyturn/core'
import { claim, claimFails, claimSame, collect, freshValue, intent } from '../claim.ts'
import type { StoreCheck } from '../harness.ts'

const racers = 10

/** What holds between writers, and between the attempts of one writer. */
export const writerChecks: readonly StoreCheck[] = [
  {
    title: 'refuses a write that expected another version',
    needs: ['cas'],
    async run(store, harness) {
      const path = harness.freshPath()
      const first = freshValue(harness)
      const made = await store.write(path, first, { ...intent(), ifMatch: null })
      await claimFails(
        store.write(path, freshValue(harness), { ...intent(), ifMatch: null }),
        'conflict',
        'a write that expected nothing there',
      )
      const second = freshValue(harness)
      await store.write(path, second, { ...intent(), ifMatch: made.etag })
      await claimFails(store.write(path, freshValue(harness), { ...intent(), ifMatch: made.etag }), 'conflict', 'a write with a stale etag')
      claimSame((await store.read(path)).value, second, 'the value after refused writes')
      const absent = harness.freshPath()
      await claimFails(
        store.write(absent, first, { ...intent(), ifMatch: made.etag }),
        'conflict',
        'a write that expected a version where none is',
      )
      await claimFails(store.read(absent), 'not_found', 'a read after a refused first write')
    },
  },
  {
    title: 'lets one of ten racing writers win',
    needs: ['cas'],
    async run(store, harness) {
      const path = harness.freshPath()
      const race = async (ifMatch: Etag | null) => {
        const values = Array.from({ length: racers }, () => freshValue(harness))
        const ended = await Promise.allSettled(values.map(value => store.write(path, value, { ...intent(), ifMatch })))
        const won = ended.flatMap((end, index) => (end.status === 'fulfilled' ? [index] : []))
        claim(won.length === 1, `${won.length} of ${racers} writers who expected the same version won`)
        const lost = ended.flatMap(end => (end.status === 'rejected' ? [end.reason] : []))
        claim(
          lost.every(error => error instanceof BrokerError && error.code === 'conflict'),
          'a losing writer was not told conflict',
        )
        const read = await store.read(path)
        claim(
          values.some((value, index) => index === won[0] && value.equals(read.value)),
          "the value is not the winner's",
        )
        return read.etag
      }
      await race(await race(null))
    },
  },
  {
    title: 'makes one version of one intent however often it is sent',
    needs: ['idempotent'],
    async run(store, harness) {
      const path = harness.freshPath()
      await store.write(path, freshValue(harness), intent())
      const once = intent()
      const value = freshValue(harness)
      const first = await store.write(path, value, once)
      const sent = await Promise.all([store.write(path, value, once), store.write(path, value, once)])
      claim(
        sent.every(info => info.version === first.version),
        'one intent made several versions',
      )
      claim((await store.read(path)).version === first.version, 'the current version is not the one of the intent')
      if (!store.can.has('versions')) return
      claim((await collect(store.versions(path))).length === 2, 'one intent left several versions')
    },
  },
  {
    title: 'leaves a newer version current when an older intent is sent again',
    needs: ['idempotent'],
    async run(store, harness) {
      const path = harness.freshPath()
      const once = intent()
      const value = freshValue(harness)
      const first = await store.write(path, value, once)
      const newer = freshValue(harness)
      await store.write(path, newer, intent())
      claim((await store.write(path, value, once)).version === first.version, 'an intent sent again made another version')
      claimSame((await store.read(path)).value, newer, 'the current value after an older intent was sent again')
    },
  },
  {
    title: 'takes a conditional write that is sent again for the one that was done',
    needs: ['cas', 'idempotent'],
    async run(store, harness) {
      const path = harness.freshPath()
      const before = await store.write(path, freshValue(harness), intent())
      const once = { ...intent(), ifMatch: before.etag }
      const value = freshValue(harness)
      const first = await store.write(path, value, once)
      const again = await store.write(path, value, once)
      claim(again.version === first.version, 'a conditional write sent again made another version')
      claimSame((await store.read(path)).value, value, 'the value of a conditional write')
    },
  },
  {
    title: 'refuses one intent with two values',
    needs: ['idempotent'],
    async run(store, harness) {
      const path = harness.freshPath()
      const once = intent()
      const value = freshValue(harness)
      await store.write(path, value, once)
      await claimFails(store.write(path, freshValue(harness), once), 'conflict', 'a second value under one key')
      claimSame((await store.read(path)).value, value, 'the value after a refused write')
    },
  },
]
