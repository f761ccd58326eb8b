import { type Capability, capabilitiesOf, Store } from '@keyturn/core'
import { wallClock } from './clock.ts'
import type { Form, Means, StoreCheck, StoreHarness } from './harness.ts'
import { applies, missingMeans, storeChecks } from './store-checks.ts'

const timeoutMs = 30_000

/** How one check ended. `untried`: the harness lacks a means, `why` says which; a check whose capability is not listed does not appear. */
export interface CheckResult {
  readonly check: StoreCheck
  readonly status: 'passed' | 'failed' | 'untried'
  readonly why?: string
}

/** What a run showed so far; the capability table is printed from it. */
export interface StoreRun {
  readonly harness: StoreHarness
  readonly results: readonly CheckResult[]
  /** Measured on the adapter as it was opened. */
  readonly measured: { readonly capabilities: ReadonlySet<Capability>; readonly valueBytesMax: number; readonly kind: string } | undefined
}

/** The one thing the kit needs of a test runner. `test` of vitest, mocha, jest and node:test all do. */
export interface Runner {
  test(title: string, run: () => Promise<void>): unknown
}

/** Registers every check that applies as one test of its own. The answer fills as they run: print it in a later test. */
export function runStoreChecks(harness: StoreHarness, { test }: Runner): StoreRun {
  const run = newRun(harness)
  for (const check of storeChecks) {
    if (applies(check, harness)) test(check.title, () => runInto(run, check))
  }
  return run
}

/** Runs every check that applies, without a runner; never throws for a failed check. */
export async function tryStoreChecks(harness: StoreHarness, checks: readonly StoreCheck[] = storeChecks): Promise<StoreRun> {
  const run = newRun(harness)
  for (const check of checks) {
    if (applies(check, harness)) await runInto(run, check).catch(() => undefined)
  }
  return run
}

type OpenRun = { -readonly [Key in keyof StoreRun]: StoreRun[Key] } & { results: CheckResult[] }

function newRun(harness: StoreHarness): OpenRun {
  const untried = storeChecks.flatMap((check): CheckResult[] => {
    const missing: readonly Means[] = missingMeans(check, harness).filter(means => means !== 'fields')
    return missing.length === 0 ? [] : [{ check, status: 'untried', why: `the harness brings no ${missing.join(', ')}` }]
  })
  return { harness, results: untried, measured: undefined }
}

async function runInto(run: OpenRun, check: StoreCheck): Promise<void> {
  try {
    const adapter = await run.harness.open()
    const { kind, guarantees } = adapter
    run.measured ??= { kind, valueBytesMax: guarantees.valueBytesMax, capabilities: capabilitiesOf(adapter) }
    try {
      await check.run(new Store(adapter, { name: run.harness.name, clock: wallClock, timeoutMs }), run.harness, adapter)
    } finally {
      await adapter.close()
    }
    run.results.push({ check, status: 'passed' })
  } catch (error) {
    run.results.push({ check, status: 'failed', why: error instanceof Error ? error.message : 'it threw no error' })
    throw error
  }
}

/** The forms a harness gives, as a sentence says them. */
export function formsOf(forms: readonly Form[]): string {
  const names: Record<Form, string> = { text: 'one text', fields: 'a set of fields' }
  return forms.map(form => names[form]).join(' or ')
}
