import { conductChecks } from './checks/conduct.ts'
import { lifetimeChecks } from './checks/lifetimes.ts'
import { pathChecks } from './checks/paths.ts'
import { stageChecks } from './checks/stages.ts'
import { valueChecks } from './checks/values.ts'
import { versionChecks } from './checks/versions.ts'
import { writerChecks } from './checks/writers.ts'
import type { Means, StoreCheck, StoreHarness } from './harness.ts'

/** Every promise of a store, as data. The capabilities come first: the rest applies by what they say. */
export const storeChecks: readonly StoreCheck[] = [
  ...conductChecks.slice(0, 1),
  ...valueChecks,
  ...pathChecks,
  ...writerChecks,
  ...versionChecks,
  ...stageChecks,
  ...lifetimeChecks,
  ...conductChecks.slice(1),
]

/** Whether a check applies, by what the harness lists, never by what the adapter happens to have. */
export function applies(check: StoreCheck, harness: StoreHarness): boolean {
  return (check.needs ?? []).every(need => harness.capabilities.includes(need)) && missingMeans(check, harness).length === 0
}

/** What the harness would have to bring for this check. */
export function missingMeans(check: StoreCheck, harness: StoreHarness): readonly Means[] {
  const has: Record<Means, boolean> = {
    behind: harness.behind !== undefined,
    slow: harness.slow !== undefined,
    fields: harness.forms.includes('fields'),
  }
  return (check.means ?? []).filter(means => !has[means])
}
