import { BrokerError, bounded, type Clock, type Envelopes, type KekUse } from '@keyturn/core'
import type { Ledger } from '@keyturn/ledger'
import { sealingKinds } from '../compose.ts'
import { named } from '../exchange.ts'
import type { Section } from '../section.ts'

/** How long one database is waited for when all are asked for their counts. */
const answerMs = 5_000

/** A database with sealed rows: the ledger, or a store that closes its values itself. */
export interface SealedPart {
  /** `ledger`, or `store` and the name of the section. */
  readonly name: string
  /** The section of the store; left out: it is the ledger. */
  readonly section?: string
  /** Opens the store if it is not open. Errors as in `Section.ask`. */
  open(): Promise<Envelopes>
}

/** What one database says of its KEKs, or why it says nothing. */
export type PartUse =
  | { readonly part: string; readonly keks: readonly KekUse[]; readonly error?: never }
  | { readonly part: string; readonly error: BrokerError; readonly keks?: never }

/** Every database with sealed rows of a deployment, the ledger first. */
export function sealedParts(ledger: Pick<Ledger, 'envelopes'>, sections: readonly Section[]): readonly SealedPart[] {
  const stores = sections.filter(({ kind }) => sealingKinds.has(kind))
  return [
    { name: 'ledger', open: async () => ledger.envelopes },
    ...stores.map(section => ({
      name: `store ${section.name}`,
      section: section.name,
      open: () => section.ask(async store => envelopesOf(section, store.envelopes)),
    })),
  ]
}

function envelopesOf({ name, kind }: Section, envelopes: Envelopes | undefined): Envelopes {
  if (envelopes !== undefined) return envelopes
  throw new BrokerError('unsupported', `store ${name}: ${kind} does not tell what it keeps under which KEK`)
}

/** Asks all at the same time for their kept counts. One that does not answer is told apart, and keeps nobody waiting for long. */
export function useOf(parts: readonly SealedPart[], clock: Clock): Promise<readonly PartUse[]> {
  return Promise.all(parts.map(part => useOfPart(part, clock)))
}

async function useOfPart(part: SealedPart, clock: Clock): Promise<PartUse> {
  const late = () => new BrokerError('unavailable', `${part.name}: no answer within ${answerMs} ms`)
  try {
    return { part: part.name, keks: await bounded(clock, answerMs, undefined, late, async () => (await part.open()).keks()) }
  } catch (error) {
    return { part: part.name, error: named(error) }
  }
}

/** How many envelopes that are, of all kinds. */
export function sumOf(needs: Readonly<Record<string, number>>): number {
  return Object.values(needs).reduce((sum, count) => sum + count, 0)
}
