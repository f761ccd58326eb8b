import { inspect } from 'node:util'
import { BrokerError, capabilitiesOf, type Finding, type SecretValue, Store } from '@keyturn/core'
import { asValue, claim, claimFails, collect, freshValue, intent } from '../claim.ts'
import { wallClock } from '../clock.ts'
import { type Fault, type StoreCheck, type StoreHarness, slowMs } from '../harness.ts'

const marker = 'canary-7d1f:value/that must+stay=inside'

/** How an adapter behaves when it is asked what it is, told to stop, or broken. */
export const conductChecks: readonly StoreCheck[] = [
  {
    title: 'has exactly the capabilities it must have',
    async run(_store, harness, adapter) {
      const has = [...capabilitiesOf(adapter)].sort().join(' ')
      const must = [...harness.capabilities].sort().join(' ')
      claim(has === must, `it has [${has}] and must have [${must}]`)
      claim(adapter.kind !== '', 'it has no kind')
    },
  },
  {
    title: 'stops when told to, and leaves nothing behind',
    async run(store, harness, adapter) {
      const [path, unwritten] = [harness.freshPath(), harness.freshPath()]
      await store.write(path, freshValue(harness), intent())
      const signal = AbortSignal.abort(new BrokerError('cancelled', 'told to stop'))
      const calls = {
        read: () => adapter.read(path, { signal }),
        write: () => adapter.write(unwritten, freshValue(harness), { ...intent(), signal }),
        list: () => collect(adapter.list(harness.prefix, { signal })),
        examine: () => adapter.examine(path, { signal }),
      }
      for (const [name, call] of Object.entries(calls)) {
        const ended = await call().then(
          () => 'went on',
          () => 'stopped',
        )
        claim(ended === 'stopped', `${name} went on after its signal`)
      }
      await claimFails(store.read(unwritten), 'not_found', 'a read of what a stopped write would have left')
    },
  },
  {
    title: 'says outcome_unknown of a write whose answer came too late',
    means: ['slow'],
    async run(_store, harness) {
      await withAdapter(harness.slow, async adapter => {
        const store = new Store(adapter, { name: harness.name, clock: wallClock, timeoutMs: slowMs })
        await claimFails(store.write(harness.freshPath(), freshValue(harness), intent()), 'outcome_unknown', 'a write without an answer')
      })
    },
  },
  {
    title: 'names each fault and never takes one for an absent secret',
    async run(_store, harness) {
      claim(harness.faults.length > 0, 'the harness breaks nothing')
      for (const fault of harness.faults) {
        await withAdapter(
          () => fault.open(),
          async adapter => {
            await claimFails(attempt(storeOf(adapter, harness), harness, fault, freshValue(harness)), fault.code, `"${fault.title}"`)
            const found = await storeOf(adapter, harness)
              .examine(fault.path ?? null)
              .catch(() => undefined)
            claim(
              fault.operation === 'write' || found === undefined || found.some(finding => !finding.ok),
              `"${fault.title}" is not found by examine`,
            )
          },
        )
      }
    },
  },
  {
    title: 'calls an error that it does not know internal, never an absence',
    async run(_store, _harness, adapter) {
      for (const unknown of [new Error('what nobody foresaw'), new TypeError('x is undefined'), 'thrown text', undefined, null, {}]) {
        const { code } = adapter.classify(unknown)
        claim(code === 'internal', `an unknown error is called ${code}`)
      }
    },
  },
  {
    title: 'never prints a value',
    async run(store, harness, adapter) {
      const path = harness.freshPath()
      const value = asValue(marker, harness.forms[0] ?? 'text')
      const printed: unknown[] = [await store.write(path, value, intent()), await store.read(path), adapter]
      printed.push(await store.examine(path), await store.examine(null), store.refuses(oversized(harness, store)))
      if (store.can.has('cas')) printed.push(await failure(store.write(path, value, { ...intent(), ifMatch: null })))
      printed.push(await failure(store.write(path, oversized(harness, store), intent())))
      for (const fault of harness.faults) {
        await withAdapter(
          () => fault.open(),
          async broken => {
            for (const operation of ['read', 'write', 'list'] as const) {
              printed.push(await failure(attempt(storeOf(broken, harness), harness, { ...fault, operation }, value)))
            }
          },
        )
      }
      for (const each of printed) claim(!leaks(each), 'a value was printed')
    },
  },
  {
    title: 'examines: all well when it is, and what to do when not',
    async run(store, harness) {
      const path = harness.freshPath()
      await store.write(path, freshValue(harness), intent())
      const well = [...(await store.examine(null)), ...(await store.examine(path))]
      claim(well.length > 0 && well.every(finding => finding.ok), `a healthy store is found wanting: ${told(well)}`)
      const absent = await store.examine(harness.freshPath())
      claim(
        absent.some(finding => !finding.ok),
        'an absent secret is found well',
      )
      claim(
        absent.every(finding => finding.ok || (finding.hint ?? '') !== ''),
        'a finding says nothing to do',
      )
    },
  },
  {
    title: 'closes twice without complaint',
    async run(store, harness, adapter) {
      await store.write(harness.freshPath(), freshValue(harness), intent())
      await adapter.close()
      await adapter.close()
    },
  },
]

function storeOf(adapter: ConstructorParameters<typeof Store>[0], harness: StoreHarness): Store {
  return new Store(adapter, { name: harness.name, clock: wallClock, timeoutMs: 30_000 })
}

async function attempt(store: Store, harness: StoreHarness, fault: Fault, value: SecretValue): Promise<unknown> {
  const path = fault.path ?? harness.freshPath()
  if (fault.operation === 'write') return store.write(path, value, intent())
  if (fault.operation === 'list') return collect(store.list(harness.prefix))
  return store.read(path)
}

async function withAdapter<T extends { close(): Promise<void> }>(
  open: (() => Promise<T>) | undefined,
  run: (adapter: T) => Promise<void>,
): Promise<void> {
  const adapter = await open?.()
  claim(adapter !== undefined, 'the harness cannot open what this check needs')
  try {
    await run(adapter)
  } finally {
    await adapter.close()
  }
}

/** A value that is too large, with the marker in it. */
function oversized(harness: StoreHarness, store: Store): SecretValue {
  return asValue(marker.repeat(Math.ceil((store.guarantees.valueBytesMax + 1) / marker.length)), harness.forms[0] ?? 'text')
}

function failure(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => undefined,
    (error: unknown) => error,
  )
}

/** Whether the marker comes out of any way a program prints things, plain or in a common encoding. */
function leaks(thing: unknown): boolean {
  const own = thing instanceof Error ? [thing.message, thing.stack ?? '', String(thing)] : []
  const text = [...own, JSON.stringify(thing) ?? '', inspect(thing, { depth: 8 })].join('\n')
  const bytes = Buffer.from(marker)
  const forms = [marker, bytes.toString('base64').slice(0, 40), bytes.toString('hex'), encodeURIComponent(marker)]
  return forms.some(form => text.includes(form))
}

function told(findings: readonly Finding[]): string {
  return findings
    .filter(finding => !finding.ok)
    .map(finding => `${finding.what}: ${finding.detail ?? ''}`)
    .join('; ')
}
