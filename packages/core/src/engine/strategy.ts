import type { IssuerAdapter } from '../issuer-adapter.ts'
import type { Strategy } from './rotation.ts'

/** What sets one strategy apart from the others; the engine asks these and never its name. */
export interface StrategyTraits {
  /** The overlap an issuer must offer; null: it works without an issuer, or with any. */
  readonly overlap: IssuerAdapter['overlap'] | null
  /** Nothing works without somebody who honours the credential. */
  readonly needsIssuer: boolean
  /** Old and new can both work for a time. */
  readonly grace: boolean
  /** The value and the revocation come from a person. */
  readonly byPerson: boolean
  /** Versions carry statuses, and a new one is shown before it is used. */
  readonly keySet: boolean
  /** `apply` completes the value, so a store is given it afterwards. */
  readonly completedByApply: boolean
}

const usual: StrategyTraits = { overlap: null, needsIssuer: true, grace: true, byPerson: false, keySet: false, completedByApply: false }

/** The traits of every strategy. */
export const strategyTraits: Readonly<Record<Strategy, StrategyTraits>> = {
  generated: { ...usual, needsIssuer: false },
  'alternating-users': { ...usual, overlap: 'two-users' },
  'dual-password': { ...usual, overlap: 'two-passwords' },
  'api-key-pair': { ...usual, overlap: 'two-keys' },
  'single-user': { ...usual, overlap: 'none', grace: false },
  'key-set': { ...usual, needsIssuer: false, keySet: true },
  tls: { ...usual, completedByApply: true },
  external: { ...usual, needsIssuer: false, byPerson: true },
}
