import { SecretValue, type Store, type StorePath } from '@keyturn/core'
import { awkwardBytes, awkwardFieldNames, awkwardTexts } from '../awkward.ts'
import { asValue, claim, claimFails, claimSame, freshValue, intent } from '../claim.ts'
import type { StoreCheck } from '../harness.ts'

/** What a store says about values: whole or refused, never altered. */
export const valueChecks: readonly StoreCheck[] = [
  {
    title: 'reads back what it wrote',
    async run(store, harness) {
      for (const form of harness.forms) {
        const path = harness.freshPath()
        for (const text of ['first', 'second']) {
          const value = asValue(text, form)
          const wrote = await store.write(path, value, intent())
          const read = await store.read(path)
          claimSame(read.value, value, 'what was read')
          claim(wrote.state === 'current' && read.state === 'current', 'a version just written is not said to be current')
          claim(wrote.version === read.version && wrote.etag === read.etag, 'write and read name different versions')
          claim(Number.isFinite(read.createdAt.getTime()), 'createdAt is no date')
        }
      }
    },
  },
  {
    title: 'keeps an awkward value whole or refuses it',
    async run(store, harness) {
      for (const form of harness.forms) {
        const path = harness.freshPath()
        for (const awkward of [...awkwardTexts, ...awkwardBytes]) await wholeOrRefused(store, path, asValue(awkward, form))
      }
    },
  },
  {
    title: 'keeps a set of fields whole, each byte for byte, or refuses it',
    async run(store, harness) {
      const path = harness.freshPath()
      if (!harness.forms.includes('fields')) {
        claim(store.refuses(SecretValue.fields({ a: '1', b: '2' })) !== undefined, 'two fields are accepted by a store of single texts')
        return
      }
      for (const name of awkwardFieldNames) await wholeOrRefused(store, path, fieldsOf([[name, 'named oddly']]))
      for (const source of ['12345678901234567890', '1.10', '{"b": 1,  "a": [1.0]}', 'true', 'null']) {
        await wholeOrRefused(store, path, SecretValue.fields({ text: source, source: { json: source } }))
      }
      await wholeOrRefused(store, path, fieldsOf(acceptable(store).map((text, index) => [`field_${index}`, text])))
    },
  },
  {
    title: 'leaves the neighbours of a changed field byte for byte',
    means: ['fields'],
    async run(store, harness) {
      const path = harness.freshPath()
      const before = fieldsOf(acceptable(store).map((text, index) => [`field_${index}`, text])).with({ changed: 'old' })
      claim(store.refuses(before) === undefined, 'fields that are accepted one by one are refused together')
      await store.write(path, before, intent())
      const read = await store.read(path)
      const after = read.value.with({ changed: 'new' })
      await store.write(path, after, { ...intent(), ...(store.guarantees.cas ? { ifMatch: read.etag } : {}) })
      claimSame((await store.read(path)).value, before.with({ changed: 'new' }), 'a set of fields after a change of one of them')
    },
  },
  {
    title: 'holds a value at its limit and refuses one byte more',
    async run(store, harness) {
      const { valueBytesMax } = store.guarantees
      claim(Number.isSafeInteger(valueBytesMax) && valueBytesMax > 0, 'valueBytesMax is no number of bytes')
      for (const form of harness.forms) {
        const path = harness.freshPath()
        const of = (bytes: number) => asValue('x'.repeat(bytes), form)
        const most = largestAccepted(valueBytesMax, bytes => store.refuses(of(bytes)) === undefined)
        claim(most > 0, 'not even one byte is accepted')
        claim(store.refuses(of(valueBytesMax + 1)) !== undefined, 'more bytes than valueBytesMax are accepted')
        await store.write(path, of(most), intent())
        claimSame((await store.read(path)).value, of(most), 'a value at the limit')
        await claimFails(store.write(path, of(most + 1), intent()), 'invalid_argument', 'a write of one byte more')
        claimSame((await store.read(path)).value, of(most), 'the value after a refused write')
      }
    },
  },
  {
    title: 'gives a changed value another version and another etag',
    async run(store, harness) {
      const path = harness.freshPath()
      const first = await store.write(path, freshValue(harness), intent())
      const second = await store.write(path, freshValue(harness), intent())
      claim(first.version !== second.version, 'two values share one version id')
      claim(first.etag !== second.etag, 'the etag did not change with the value')
      const again = await store.read(path)
      claim(again.etag === (await store.read(path)).etag && again.etag === second.etag, 'the etag changes without a change of value')
    },
  },
  {
    title: 'answers with the version asked for, or not_found, never with another',
    async run(store, harness) {
      const path = harness.freshPath()
      const value = freshValue(harness)
      const first = await store.write(path, value, intent())
      claimSame((await store.read(path, { version: first.version })).value, value, 'the current version, asked for by its id')
      await store.write(path, freshValue(harness), intent())
      if (!store.can.has('versions')) {
        await claimFails(store.read(path, { version: first.version }), 'not_found', 'a read of a version that was overwritten')
        return
      }
      const read = await store.read(path, { version: first.version })
      claimSame(read.value, value, 'an earlier version')
      claim(read.version === first.version, 'a read of one version names another')
      claim(read.state === 'previous' || read.state === 'older', `an earlier version is said to be ${read.state}`)
    },
  },
]

async function wholeOrRefused(store: Store, path: StorePath, value: SecretValue): Promise<void> {
  const why = store.refuses(value)
  if (why === undefined) {
    await store.write(path, value, intent())
    claimSame((await store.read(path)).value, value, 'an accepted awkward value')
    return
  }
  claim(why !== '', 'a refusal says nothing')
  await claimFails(store.write(path, value, intent()), 'invalid_argument', 'a write of a refused value')
}

/** The awkward texts that this store takes as a field of a set. */
function acceptable(store: Store): readonly string[] {
  return awkwardTexts.filter(text => store.refuses(SecretValue.fields({ field: text })) === undefined)
}

function fieldsOf(entries: readonly (readonly [string, string])[]): SecretValue {
  return SecretValue.fields(new Map(entries))
}

function largestAccepted(most: number, accepts: (bytes: number) => boolean): number {
  let low = 0
  let high = most
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (accepts(middle)) low = middle
    else high = middle - 1
  }
  return low
}
