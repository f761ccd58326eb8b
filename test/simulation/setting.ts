import { BrokerError, type Rotation, type RotationRequest, type RotationSettings, type SecretValue, type Strategy } from '@keyturn/core'
import type { SecretRow } from '@keyturn/ledger'
import type { SimulatedTarget } from './target.ts'
import { KeySet } from './targets.ts'

const hourMs = 3_600_000

/** What starts a rotation of the simulated secret. */
export function requestFor(secret: SecretRow, strategy: Strategy, mode: Rotation['mode']): RotationRequest {
  const { id: secretId, name } = secret
  return {
    secretId,
    secret: name,
    strategy,
    trigger: 'schedule',
    mode,
    reason: 'simulated',
    graceOverrideMs: null,
    op: null,
    approved: false,
  }
}

/** How the simulated secret of a strategy is rotated. */
export function settingsFor(strategy: Strategy, target: SimulatedTarget | null, renew: readonly string[] | null): RotationSettings {
  return {
    type: 'generic',
    everyMs: 30 * 24 * hourMs,
    graceMs: strategy === 'single-user' ? 0 : hourMs,
    generate: { bytes: 16, encoding: 'base64url' },
    renew,
    rules: { windows: [], freezes: [] },
    distributeMs: target instanceof KeySet ? target.cacheMs : 0,
    approval: false,
  }
}

export function fieldsLike(value: SecretValue, text: string): Record<string, string> {
  return Object.fromEntries((value.fieldNames ?? []).map(field => [field, text]))
}

export function standingOf({ state, hold, error, wish, mode }: Rotation): string {
  return `${state} ${JSON.stringify({ hold, error, wish, mode })}`
}

export function mustBeConflict(error: unknown): void {
  if (!(error instanceof BrokerError) || error.code !== 'conflict') throw error
}

/** Lets everything run that waits for nothing outside. */
export function settled(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
