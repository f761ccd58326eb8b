import * as api from '@keyturn/api'
import { BrokerError } from '@keyturn/core'

export const instant = '2026-11-21T15:00:00.000Z'

export interface Answer {
  readonly status: number
  readonly headers?: Record<string, string>
  readonly json?: object
  readonly bytes?: Uint8Array
}

interface End {
  readonly state: api.Campaign['state']
  readonly done?: number
  readonly skipped?: number
  readonly failed?: number
  readonly note?: string
}

/** The KEKs of a small broker: `v2` is current, `v1` was before and may be needed. */
export class SmallKeks {
  /** How the next campaigns end, in order; each waits for its backup at the first look, and is running at the second. */
  readonly ends: End[] = []
  /** Values that need `v1`. */
  stale = 0
  readonly #begun = new Map<string, { readonly end: End; looks: number }>()

  begin(id: string): Answer {
    this.#begun.set(id, { end: this.ends.shift() ?? { state: 'done' }, looks: 0 })
    return { status: 202, json: { op_id: id, status_url: `/admin/v1/secrets/rotation-status/${id}` } }
  }

  /** Undefined when no campaign has this id. */
  campaign(id: string): Answer | undefined {
    const begun = this.#begun.get(id)
    if (begun === undefined) return undefined
    begun.looks += 1
    const { state, done = 0, skipped = 0, failed = 0, note = null } = begun.end
    const isOver = begun.looks > 2 || state === 'waiting'
    const counts = isOver ? { done, skipped, failed } : { done: 0, skipped: 0, failed: 0 }
    const now = isOver ? state : begun.looks === 1 ? 'waiting' : 'running'
    const waits = { waiting_for: now !== 'waiting' ? null : isOver ? 'kek' : 'backup' }
    const whole = { total: done + skipped + failed, ...counts }
    const failures = counts.failed > 0 ? [{ database: 'store', secret: 'a/b', version: '3', kek: 'v1', code: 'corrupt' }] : []
    const databases = [{ name: 'store', ...whole, state: now }]
    const about = { op_id: id, kind: 'rewrap', state: now, ...waits, target: 'v2', note, started: instant, finished: null, items: [] }
    return { status: 200, json: { ...about, ...whole, databases, failures } }
  }

  status(): Answer {
    const kek = { since: instant, wraps: 0, fingerprint: 'f' }
    const reasons = this.stale > 0 ? [`${this.stale} values need it`] : []
    const json = {
      current: 'v2',
      wanted: 'v2',
      promotion: 'done',
      refusal: null,
      loaded: ['v2'],
      stale_counts: { v1: this.stale },
      oldest_row: null,
      instances: [{ id: 'b1', loaded: ['v2'], wanted: 'v2', using: 'v2', seen_at: instant, started_at: instant, version: '0.1.0' }],
      open_ops: [],
      safe_to_retire: { v1: { safe: this.stale === 0, reasons }, v2: { safe: false, reasons: ['it closes new values'] } },
      due: true,
      due_reasons: ['v2 is old'],
      unreachable: [],
      findings: [],
      keks: {
        v1: { ...kek, state: 'deactivated', age_days: 91, needs: { versions: this.stale } },
        v2: { ...kek, state: 'active', age_days: 0, needs: {} },
      },
    }
    return { status: 200, json }
  }

  retire(id: string): Answer {
    if (this.stale > 0) throw new BrokerError('conflict', `KEK ${id} is still needed: ${this.stale} values need it`)
    return { status: 200, json: { id, state: 'retired', since: instant, fingerprint: 'f' } }
  }

  destroy(id: string, body: unknown): Answer {
    const { confirm, confirmation, loses } = api.kekDestroy.parse(body)
    if (confirm !== id || confirmation !== 'word' || loses !== this.stale) {
      const detail = { loses: this.stale, needs: { versions: this.stale }, confirmation: 'word' }
      throw new BrokerError('conflict', `destroying KEK ${id} loses ${this.stale} values for ever`, { detail })
    }
    return { status: 200, json: { id, state: 'destroyed', since: instant, fingerprint: 'f' } }
  }
}
