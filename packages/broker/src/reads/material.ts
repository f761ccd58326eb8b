import { isUtf8 } from 'node:buffer'
import { toPlain, toWire } from '@keyturn/api'
import type { SecretName, SecretValue, VersionId } from '@keyturn/core'

/** What a version is to its readers; `older`: asked for by its id, neither current nor in grace. */
export type Stage = 'current' | 'previous' | 'pending' | 'older'

/** Everything that an answer about one version is made of. */
export interface MaterialParts {
  readonly name: SecretName
  readonly version: VersionId
  readonly stage: Stage
  readonly type: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: SecretValue
  readonly createdAt: Date
  readonly grace: { readonly version: VersionId; readonly until: Date } | null
  readonly rotatesAt: Date | null
  readonly ttl: number
  /** The section of the store it came from. */
  readonly source: string
  /** Whether the body says where it came from and how old it is: for a name with several stores, or one that memory may stand in for. */
  readonly telling: boolean
  /** The ledger's number of what was current when it was read (null: it knew of nothing), and for several stores a keyed fingerprint. */
  readonly promotion: number | null
  readonly fingerprint: string | null
  /** When the store was asked. */
  readonly readMs: number
  /** Older than its cache time, because the store is away. */
  readonly stale?: boolean
}

type Headers = Readonly<Record<string, string>>

/** A body and its headers, made once for all who ask for the same. */
export interface Rendering {
  body: string | Uint8Array
  readonly etag: string
  headers: Headers
  /** The age in seconds that `headers` tell, and `body` where it does. */
  age: number
}

const alwaysSame = { 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' }

/** One version as it is answered. Renderings are kept with it and go with it. */
export class Material {
  readonly parts: MaterialParts
  readonly etag: string
  /** Stands for this one fetch, and keeps nothing of it alive. */
  readonly fetch: object = {}
  readonly #renderings = new Map<string, Rendering>()

  constructor(parts: MaterialParts) {
    this.parts = parts
    this.etag = etagOf(parts.version)
  }

  /** As JSON, whole or one field, straight from its store or kept since. `not_found` when there is no such field. */
  json(field: string | undefined, nowMs: number, kept = false): Rendering {
    const key = `${kept ? 'k' : 'j'}${field ?? ''}`
    return this.#rendering(key, nowMs, () => this.#make(this.document(field, nowMs), 'application/json', kept))
  }

  /** The bytes alone. `invalid_argument` (406) for several fields without the name of one. */
  plain(field: string | undefined, nowMs: number, kept = false): Rendering {
    return this.#rendering(`${kept ? 'q' : 'p'}${field ?? ''}`, nowMs, () => {
      const bytes = toPlain(this.parts.value, field)
      return this.#make(bytes, isUtf8(bytes) ? 'text/plain; charset=utf-8' : 'application/octet-stream', kept)
    })
  }

  /** The JSON text of the answer. */
  document(field: string | undefined, nowMs: number): string {
    const { name, version, stage, type, labels, value, createdAt, grace, rotatesAt, ttl, telling, source, stale = false } = this.parts
    const origin = telling ? { source, age: this.#ageAt(nowMs), stale } : {}
    return JSON.stringify({ name, version, stage, type, labels, ...toWire(value, field), createdAt, grace, rotatesAt, ttl, ...origin })
  }

  #ageAt(nowMs: number): number {
    return Math.max(0, Math.floor((nowMs - this.parts.readMs) / 1000))
  }

  #rendering(key: string, nowMs: number, make: () => Rendering): Rendering {
    let rendering = this.#renderings.get(key)
    if (rendering === undefined) {
      rendering = make()
      this.#renderings.set(key, rendering)
    }
    const age = this.#ageAt(nowMs)
    if (age !== rendering.age) {
      rendering.age = age
      if (this.parts.telling) rendering.body = make().body
      rendering.headers = { ...rendering.headers, Age: String(age) }
    }
    return rendering
  }

  #make(body: string | Uint8Array, contentType: string, kept: boolean): Rendering {
    const source = kept || this.parts.stale === true ? 'cache' : this.parts.source
    const headers = { 'Content-Type': contentType, ...alwaysSame, ETag: this.etag, Age: '0', 'X-Keyturn-Source': source }
    return { body, etag: this.etag, headers: this.parts.stale === true ? { ...headers, 'X-Keyturn-Stale': 'true' } : headers, age: 0 }
  }
}

/** The entity tag of a version: its id in quotes. What no header may hold is percent-encoded. */
export function etagOf(version: VersionId): string {
  return `"${version.replace(/[^\x21\x23-\x24\x26-\x7e]/gu, encodeURIComponent)}"`
}
