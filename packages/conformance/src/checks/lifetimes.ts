import type { StoreAdapter, StorePath, VersionInfo } from '@keyturn/core'
import { asValue, claim, claimFails, claimSame, freshText, freshValue, intent } from '../claim.ts'
import type { StoreCheck, StoreHarness } from '../harness.ts'

const watchTriesMax = 25
const watchPauseMs = 200

/** The whole secret: taken away, given back, watched. */
export const lifetimeChecks: readonly StoreCheck[] = [
  {
    title: 'says not_found for a deleted secret and takes a new value after it',
    needs: ['delete'],
    async run(store, harness) {
      const [path, neighbour] = [harness.freshPath(), harness.freshPath()]
      const kept = freshValue(harness)
      await store.write(neighbour, kept, intent())
      await store.write(path, freshValue(harness), intent())
      await store.delete(path, intent())
      await claimFails(store.read(path), 'not_found', 'a read of a deleted secret')
      claimSame((await store.read(neighbour)).value, kept, 'the neighbour of a deleted secret')
      await claimFails(store.delete(harness.freshPath(), intent()), 'not_found', 'deleting a path never written')
      const value = freshValue(harness)
      await store.write(path, value, intent())
      claimSame((await store.read(path)).value, value, 'the value written after a deletion')
    },
  },
  {
    title: 'refuses to delete another version than expected',
    needs: ['delete', 'cas'],
    async run(store, harness) {
      const path = harness.freshPath()
      const first = await store.write(path, freshValue(harness), intent())
      const value = freshValue(harness)
      const second = await store.write(path, value, intent())
      await claimFails(store.delete(path, { ...intent(), ifMatch: first.etag }), 'conflict', 'a deletion with a stale etag')
      claimSame((await store.read(path)).value, value, 'the value after a refused deletion')
      await store.delete(path, { ...intent(), ifMatch: second.etag })
      await claimFails(store.read(path), 'not_found', 'a read of a deleted secret')
    },
  },
  {
    title: 'gives a deleted secret back',
    needs: ['delete', 'restore'],
    async run(store, harness) {
      const path = harness.freshPath()
      await store.write(path, freshValue(harness), intent())
      const value = freshValue(harness)
      const current = await store.write(path, value, intent())
      await store.delete(path, intent())
      await store.restore(path)
      await store.restore(path)
      const read = await store.read(path)
      claimSame(read.value, value, 'the value given back')
      claim(read.version === current.version, 'a restored secret has another version')
    },
  },
  {
    title: 'delivers a change to whoever watches',
    needs: ['watch'],
    async run(store, harness, adapter) {
      const path = harness.freshPath()
      await store.write(path, freshValue(harness), intent())
      await seesChange(adapter, harness, path)
    },
  },
]

/** Watching starts when it starts: the change is made again, each time with a new value, until it is delivered. */
async function seesChange(adapter: StoreAdapter, harness: StoreHarness, path: StorePath): Promise<void> {
  const ended = new AbortController()
  const watched = adapter.watch?.(path, { signal: ended.signal })[Symbol.asyncIterator]()
  claim(watched !== undefined, 'watch is gone')
  const other = await harness.open()
  try {
    let seen: VersionInfo | undefined
    const next = watched.next().then(item => {
      seen = item.done ? undefined : item.value
    })
    for (let tries = 0; seen === undefined && tries < watchTriesMax; tries += 1) {
      await change(harness, other, path)
      await Promise.race([next, new Promise(resolve => setTimeout(resolve, watchPauseMs))])
    }
    claim(seen !== undefined, 'a change was not delivered')
    const current = await other.read(path, { signal: ended.signal })
    claim(seen.state === 'current' && seen.version === current.version, 'what was delivered is not the current version')
  } finally {
    ended.abort()
    await other.close()
  }
}

async function change(harness: StoreHarness, other: StoreAdapter, path: StorePath): Promise<void> {
  const text = freshText()
  if (harness.behind !== undefined) return harness.behind(path, text)
  await other.write(path, asValue(text, harness.forms[0] ?? 'text'), { ...intent(), signal: new AbortController().signal })
}
