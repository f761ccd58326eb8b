import type { StorePath } from '@keyturn/core'
import { BrokerError } from '@keyturn/core'
import { awkwardPaths } from '../awkward.ts'
import { asValue, claim, claimFails, claimSame, collect, freshText, freshValue, intent } from '../claim.ts'
import type { StoreCheck } from '../harness.ts'

const many = 1_000

/** What a store says about paths: each is its own, none is guessed, all are listed. */
export const pathChecks: readonly StoreCheck[] = [
  {
    title: 'says not_found for a path it never saw',
    async run(store, harness) {
      await claimFails(store.read(harness.freshPath()), 'not_found', 'a read of a path never written')
    },
  },
  {
    title: 'keeps two paths apart',
    async run(store, harness) {
      const [one, other] = [harness.freshPath(), harness.freshPath()]
      const [value, neighbour] = [freshValue(harness), freshValue(harness)]
      await store.write(one, freshValue(harness), intent())
      const before = await store.write(other, neighbour, intent())
      await store.write(one, value, intent())
      claimSame((await store.read(one)).value, value, 'the value of the path written last')
      const after = await store.read(other)
      claimSame(after.value, neighbour, 'the value of the path left alone')
      claim(after.version === before.version && after.etag === before.etag, 'a write to one path changed the version of another')
    },
  },
  {
    title: 'keeps an awkward path apart from its like, or refuses it',
    async run(store, harness) {
      const kept = new Map<StorePath, string>()
      const valid = harness.freshPath()
      for (const text of awkwardPaths(valid)) {
        const path = text as StorePath
        const secret = freshText()
        const failed = await store.write(path, asValue(secret, harness.forms[0] ?? 'text'), intent()).catch((error: unknown) => error)
        if (!(failed instanceof Error)) kept.set(path, secret)
        else
          claim(
            failed instanceof BrokerError && failed.code === 'invalid_argument',
            'an awkward path failed with something else than invalid_argument',
          )
      }
      claim(kept.has(valid), 'a fresh path was refused')
      for (const [path, secret] of kept) {
        claimSame(
          (await store.read(path)).value,
          asValue(secret, harness.forms[0] ?? 'text'),
          `the value of path ${JSON.stringify(path.slice(0, 80))}`,
        )
      }
      const listed = await collect(store.list(valid))
      const missing = [...kept.keys()].filter(path => path.startsWith(valid) && !listed.includes(path))
      claim(missing.length === 0, `list leaves out ${JSON.stringify(missing)}`)
    },
  },
  {
    title: 'lists the paths it holds under a prefix, each once',
    async run(store, harness) {
      const paths = [harness.freshPath(), harness.freshPath(), harness.freshPath()]
      for (const path of paths) await store.write(path, freshValue(harness), intent())
      await store.write(paths[0] ?? harness.freshPath(), freshValue(harness), intent())
      const listed = await collect(store.list(harness.prefix))
      for (const path of paths) claim(listed.filter(each => each === path).length === 1, 'a path is listed twice or not at all')
      claim(
        listed.every(path => path.startsWith(harness.prefix)),
        'a path outside the prefix is listed',
      )
      const absent = await collect(store.list(`${harness.freshPath()}_nothing_here`))
      claim(absent.length === 0, 'paths are listed under a prefix that covers none')
    },
  },
  {
    title: 'lists a thousand paths, whatever its pages',
    async run(store, harness) {
      const paths = Array.from({ length: many }, () => harness.freshPath())
      if (harness.fill !== undefined) await harness.fill(paths)
      else for (const path of paths) await store.write(path, freshValue(harness), intent())
      const listed = await collect(store.list(harness.prefix))
      const set = new Set(listed)
      claim(set.size === listed.length, 'a path is listed twice')
      claim(
        paths.every(path => set.has(path)),
        `of ${many} paths some are not listed`,
      )
    },
  },
  {
    title: 'shows another process what it wrote',
    async run(store, harness) {
      const path = harness.freshPath()
      const value = freshValue(harness)
      const wrote = await store.write(path, value, intent())
      const other = await harness.open()
      try {
        const read = await other.read(path, { signal: new AbortController().signal })
        claimSame(read.value, value, 'what another process reads')
        claim(read.version === wrote.version && read.etag === wrote.etag, 'another process sees another version or etag')
      } finally {
        await other.close()
      }
    },
  },
  {
    title: 'notices a change made behind its back',
    means: ['behind'],
    async run(store, harness) {
      const path = harness.freshPath()
      const before = await store.write(path, freshValue(harness), intent())
      await store.read(path)
      const text = freshText()
      await harness.behind?.(path, text)
      const after = await store.read(path)
      claimSame(after.value, asValue(text, harness.forms[0] ?? 'text'), 'the value after a change from outside')
      claim(after.etag !== before.etag && after.version !== before.version, 'a change from outside left version or etag as they were')
      if (!store.can.has('cas')) return
      await claimFails(
        store.write(path, freshValue(harness), { ...intent(), ifMatch: before.etag }),
        'conflict',
        'a write after a change from outside',
      )
      claimSame((await store.read(path)).value, asValue(text, harness.forms[0] ?? 'text'), 'the value after a refused write')
    },
  },
]
