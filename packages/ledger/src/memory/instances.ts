import type { Instance, Instances } from '../ledger.ts'
import { copy } from '../rules/copy.ts'
import { byStart, instanceKeptMs, instanceLivesMs } from '../rules/kek.ts'
import type { MemoryState } from './state.ts'

export class MemoryInstances implements Instances {
  readonly #state: MemoryState

  constructor(state: MemoryState) {
    this.#state = state
  }

  async beat(instance: Omit<Instance, 'startedAt' | 'seenAt'>): Promise<void> {
    const { instances, clock } = this.#state
    const now = clock.now()
    for (const { id, seenAt } of instances.values()) if (seenAt.getTime() <= now.getTime() - instanceKeptMs) instances.delete(id)
    const before = instances.get(instance.id)
    if (before?.signedOff === true) return
    const { id, loaded, wanted, using, version } = copy(instance)
    instances.set(id, { id, startedAt: before?.startedAt ?? now, seenAt: now, loaded, wanted, using, version, signedOff: false })
  }

  async signOff(id: string): Promise<void> {
    const { instances } = this.#state
    const before = instances.get(id)
    if (before !== undefined) instances.set(id, { ...before, signedOff: true })
  }

  async live(): Promise<readonly Instance[]> {
    return copy(liveIn(this.#state))
  }
}

/** The instances that are at work now, oldest first. */
export function liveIn({ instances, clock }: MemoryState): readonly Instance[] {
  const since = clock.now().getTime() - instanceLivesMs
  return [...instances.values()]
    .filter(({ signedOff, seenAt }) => !signedOff && seenAt.getTime() > since)
    .map(({ signedOff: _, ...instance }) => instance)
    .sort(byStart)
}
