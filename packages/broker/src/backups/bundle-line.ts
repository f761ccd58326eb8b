import { createHmac, createSecretKey, hkdfSync, type KeyObject, timingSafeEqual } from 'node:crypto'
import type { DumpedVersion, Sealed, SecretId, StorePath } from '@keyturn/core'
import { z } from 'zod'

/** What the first line of every bundle says of itself. */
export const bundleFormat = 'keyturn-backup/1'

/** A KEK's envelope in a line: the same bytes as in the database, in base64url. */
interface WireSealed {
  readonly kek: string
  readonly payload: string
  readonly wrap: string
}

/** The first line: which bundle this is, and its own key, sealed under a KEK. */
export interface HeaderLine {
  readonly format: typeof bundleFormat
  readonly id: string
  readonly created: string
  readonly reason: string
  /** The id of the ledger of the deployment that made it. */
  readonly ledger: string
  /** The databases in it: the id that their envelopes are bound to, and the section of the config. */
  readonly stores: readonly { readonly id: string; readonly section: string }[]
  /** From 1; grows when its wraps are renewed. */
  readonly generation: number
  /** The pass that renewed it last; null: it is as it was made. */
  readonly pass: string | null
  /** The fingerprint of the KEK that seals the bundle's key, so that a bundle names the key it needs. */
  readonly fingerprint: string
  readonly key: WireSealed
}

/** One version of one secret. */
export interface VersionLine {
  readonly store: string
  readonly secret: SecretId
  readonly path: StorePath
  readonly number: number
  readonly kind: DumpedVersion['kind']
  readonly label: DumpedVersion['label']
  readonly disabled: boolean
  readonly created: string
  /** When its secret was deleted; null: it was there. */
  readonly deleted: string | null
  /** Null: the version was destroyed. */
  readonly sealed: WireSealed | null
}

/** What only the ledger knows of a name. */
export interface NameLine {
  readonly name: string
  readonly type: string | null
  readonly labels: Readonly<Record<string, string>>
}

/** The last line. */
export interface TrailerLine {
  readonly end: true
  readonly secrets: number
  readonly versions: number
  readonly names: number
  /** Which KEKs open what is in it; the bundle's own key counts as one. */
  readonly keks: readonly { readonly id: string; readonly fingerprint: string | null; readonly opens: number }[]
  /** HMAC-SHA-256 over the bytes of every line before, line feeds included; hex. */
  readonly whole: string
}

export type BundleLine = HeaderLine | VersionLine | NameLine | TrailerLine

/** The two keys that a bundle's key gives: one for its lines, one for the whole. */
export interface BundleKeys {
  readonly line: KeyObject
  readonly whole: KeyObject
}

/** HKDF-SHA-256 (RFC 5869) of the 32 bytes that are sealed in the header. */
export function bundleKeys(key: Uint8Array): BundleKeys {
  const derive = (purpose: string) => createSecretKey(Buffer.from(hkdfSync('sha256', key, '', `keyturn/v1/${purpose}`, 32)))
  return { line: derive('backup-line'), whole: derive('backup-whole') }
}

// `,"mac":"` 8, 22 characters of base64url, `"}` 2
const sealBytes = 32
const macBytes = 16

/**
 * A line of a bundle with its line feed: JSON whose first member `n` is the number of the line, from 1, and whose last member `mac` is
 * HMAC-SHA-256 over every byte before it, cut to 128 bits, in base64url.
 */
export function lineText(keys: BundleKeys, n: number, content: BundleLine): string {
  const body = JSON.stringify({ n, ...content }).slice(0, -1)
  return `${body},"mac":"${macOf(keys.line, body).toString('base64url')}"}\n`
}

/** What a line says, given without its line feed; undefined when it was changed. `keys` null: nobody can tell, and it is taken as it is. */
export function readLine(keys: BundleKeys | null, line: Uint8Array): { readonly n: number; readonly content: BundleLine } | undefined {
  const text = Buffer.from(line.buffer, line.byteOffset, line.byteLength)
  const end = text.length - sealBytes
  if (end < 0) return undefined
  const seal = text.toString('latin1', end)
  const match = /^,"mac":"([A-Za-z0-9_-]{22})"\}$/.exec(seal)
  if (match?.[1] === undefined) return undefined
  if (keys !== null) {
    const mac = macOf(keys.line, text.subarray(0, end))
    // compared as text: the last character holds four bits that decoding would drop
    if (!timingSafeEqual(Buffer.from(mac.toString('base64url')), Buffer.from(match[1]))) return undefined
  }
  try {
    const { n, mac: _, ...content } = JSON.parse(text.toString('utf8')) as { n: number; mac: string } & BundleLine
    if (!Number.isSafeInteger(n) || (keys === null && !isLine(content))) return undefined
    return { n, content }
  } catch {
    return undefined
  }
}

function macOf(key: KeyObject, body: string | Uint8Array): Buffer {
  return createHmac('sha256', key).update(body).digest().subarray(0, macBytes)
}

const sealedShape = z.object({ kek: z.string(), payload: z.string(), wrap: z.string() })

const headerShape = z.object({
  format: z.literal(bundleFormat),
  id: z.string(),
  created: z.iso.datetime(),
  reason: z.string(),
  ledger: z.string(),
  stores: z.array(z.object({ id: z.string(), section: z.string() })),
  generation: z.int().positive(),
  pass: z.string().nullable(),
  fingerprint: z.string(),
  key: sealedShape,
})

const trailerShape = z.object({
  end: z.literal(true),
  secrets: z.int(),
  versions: z.int(),
  names: z.int(),
  keks: z.array(z.object({ id: z.string(), fingerprint: z.string().nullable(), opens: z.int() })),
  whole: z.string(),
})

const versionShape = z.object({
  store: z.string(),
  secret: z.string(),
  path: z.string(),
  number: z.int().positive(),
  kind: z.enum(['text', 'bytes', 'fields']),
  label: z.enum(['current', 'pending', 'previous']).nullable(),
  disabled: z.boolean(),
  created: z.iso.datetime(),
  deleted: z.iso.datetime().nullable(),
  sealed: sealedShape.nullable(),
})

const nameShape = z.object({ name: z.string(), type: z.string().nullable(), labels: z.record(z.string(), z.string()) })

/** Whether a line that nothing proves has the form of one: with the bundle's key, its MAC says so. */
export function isLine(content: object): content is BundleLine {
  return [headerShape, trailerShape, versionShape, nameShape].some(shape => shape.safeParse(content).success)
}

/** An envelope as a line has it. */
export function toWire({ kekId, payload, wrap }: Sealed): WireSealed {
  return { kek: kekId, payload: base64url(payload), wrap: base64url(wrap) }
}

/** An envelope from a line. */
export function fromWire({ kek, payload, wrap }: WireSealed): Sealed {
  return { kekId: kek, payload: Buffer.from(payload, 'base64url'), wrap: Buffer.from(wrap, 'base64url') }
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url')
}
