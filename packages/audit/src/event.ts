import { BrokerError } from '@keyturn/core'

/** How an act ended: done, refused by authentication or policy, or not possible. */
export type AuditOutcome = 'allowed' | 'denied' | 'failed'

/** One act to record. Names, never values; what does not apply is null. */
export interface AuditEvent {
  /** Who: `token:checkout`; null before authentication. */
  readonly principal: string | null
  /** An action of the policy table, or the engine's own word for a step. */
  readonly action: string
  readonly secret: string | null
  readonly version: string | null
  readonly field: string | null
  readonly outcome: AuditOutcome
  /** The error code of a refusal or a failure. */
  readonly code: string | null
  /** Of the request, or of the outbox row; `contains` finds it again. */
  readonly requestId: string | null
  /** Where the request came from, or what a record of the log itself tells. */
  readonly source: string | null
}

/** The most characters of one text; longer ones are cut and end with an ellipsis, so that a caller cannot fill the disk with one line. */
const textMax = 1024
const cachedTextsMax = 8192
const escapedTexts = (): Map<string, string> => new Map()

/** Writes the middle of a line. Names and principals recur, so their escaped form is kept: a look-up costs a fifth of the escaping. */
export class EventEncoder {
  #escaped = escapedTexts()

  /** The members from `principal` to `source`, in this order, without braces. `invalid_argument` when the outcome is none. */
  encode(event: AuditEvent): string {
    const { outcome } = event
    if (outcome !== 'allowed' && outcome !== 'denied' && outcome !== 'failed') {
      throw new BrokerError('invalid_argument', 'an audit event needs the outcome allowed, denied or failed')
    }
    return (
      `"principal":${this.#known(event.principal)},"action":${this.#known(event.action)},"secret":${this.#known(event.secret)}` +
      `,"version":${this.#known(event.version)},"field":${this.#known(event.field)},"outcome":"${outcome}","code":${this.#known(event.code)}` +
      `,"requestId":${quote(event.requestId)},"source":${this.#known(event.source)}`
    )
  }

  #known(text: string | null): string {
    if (text === null) return 'null'
    const known = this.#escaped.get(text)
    if (known !== undefined) return known
    const escaped = quote(text)
    // names come from callers: without a bound they would fill the memory
    if (this.#escaped.size >= cachedTextsMax) this.#escaped = escapedTexts()
    if (text.length <= textMax) this.#escaped.set(text, escaped)
    return escaped
  }
}

function quote(text: string | null): string {
  if (text === null) return 'null'
  return JSON.stringify(text.length > textMax ? `${text.slice(0, textMax)}…` : text)
}

/** What the log says about itself. */
export function ownEvent(action: string, code: string | null, source: string | null): AuditEvent {
  const outcome = code === null ? 'allowed' : 'failed'
  return { principal: 'keyturn', action, secret: null, version: null, field: null, outcome, code, requestId: null, source }
}
