import type { StoreAdapter, Strategy } from '@keyturn/core'
import { type Mode, modes } from '../simulation/faults.ts'
import { questions } from '../simulation/processes.ts'
import { AdapterWorld, type AdapterWorldOptions } from './adapter-world.ts'
import type { Backend } from './backends/backend.ts'
import type { Breach } from './matrix.ts'
import { type WireMode, wireModes } from './wire.ts'

/** Puts a bug into an adapter. */
export type Spoil = (adapter: StoreAdapter) => StoreAdapter
type Planted = Pick<AdapterWorldOptions, 'faults' | 'wireFaults' | 'spoil'>

/** One rotation on a backend of its own, from queued to its end. */
export async function passageOn(backend: Backend, strategy: Strategy, planted: Planted): Promise<AdapterWorld> {
  const shelf = await backend.start()
  const world = new AdapterWorld({ strategy, shelf, ...planted })
  try {
    await world.checkDone(await world.run(await world.begin()))
    return world
  } finally {
    await world.close()
    await shelf.close()
  }
}

/** Where something can go wrong in a rotation: calls of the store and requests on the wire, and which of them change something. */
export interface Places {
  readonly calls: readonly Place[]
  readonly requests: readonly Place[]
}

interface Place {
  readonly number: number
  readonly title: string
  readonly changes: boolean
}

/** The places of a passage in which nothing goes wrong. */
export async function placesOn(backend: Backend, strategy: Strategy, spoil?: Spoil): Promise<Places> {
  const { violations, faults, wire, effects } = await passageOn(backend, strategy, given(spoil))
  if (violations.length > 0) throw new Error(`the dry run itself breaks: ${violations.join('; ')}`)
  const calls = faults.calls.map((title, index) => ({ number: index + 1, title, changes: !questions.has(title) }))
  const requests = wire.requests.map((title, index) => ({ number: index + 1, title, changes: effects.has(index + 1) }))
  return { calls: calls.filter(({ title }) => title.startsWith('store.')), requests }
}

/** One passage for each fault: those that broke something, as they are found. */
export async function* breachesOn(backend: Backend, strategy: Strategy, faults: readonly Fault[], spoil?: Spoil): AsyncGenerator<Breach> {
  for (const { where, ...planted } of faults) {
    const { violations } = await passageOn(backend, strategy, { ...planted, ...given(spoil) })
    if (violations.length > 0) yield { where, violations: [...new Set(violations)] }
  }
}

/** To what changes nothing, an effect without an answer is no more than no answer, and twice is once. */
const askedModes: ReadonlySet<Mode | WireMode> = new Set(['fails', 'dropped', 'refused', 'dies', 'hangs'])

/** One fault, and where it is in words. */
export type Fault = Planted & { readonly where: string }

/**
 * Every single fault, everywhere or where something changes. Where there is a wire it shows what happens to calls, but for one: that a caller makes
 * its call again.
 */
export function faultsAt({ calls, requests }: Places, where: 'everywhere' | 'changes'): readonly Fault[] {
  const callModes = requests.length > 0 ? (['twice'] as const) : modes
  const counts = (place: Place) => where === 'everywhere' || place.changes
  return [
    ...every(calls.filter(counts), callModes).map(([{ number, title }, mode]) => ({
      where: `${title} (call ${number}) ${mode}`,
      faults: new Map([[number, mode]]),
    })),
    ...every(requests.filter(counts), wireModes).map(([{ number, title }, mode]) => ({
      where: `${title} (request ${number}) ${mode}`,
      wireFaults: new Map([[number, mode]]),
    })),
  ]
}

function every<M extends Mode | WireMode>(places: readonly Place[], modes: readonly M[]): readonly (readonly [Place, M])[] {
  return places.flatMap(place => modes.filter(mode => place.changes || askedModes.has(mode)).map(mode => [place, mode] as const))
}

export function given(spoil: Spoil | undefined): Pick<Planted, 'spoil'> {
  return spoil === undefined ? {} : { spoil }
}
