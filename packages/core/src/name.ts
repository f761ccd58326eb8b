import { BrokerError } from './error.ts'

/** The broker's name of a secret, canonical: what was authorised is what is fetched. */
export type SecretName = string & { readonly __brand: 'SecretName' }
/** A secret's place in its store, in the store's own words. */
export type StorePath = string & { readonly __brand: 'StorePath' }
/** Opaque, the store's own where it keeps versions. Never compared for order. */
export type VersionId = string & { readonly __brand: 'VersionId' }
/** A store's token for compare-and-set. It never leaves the broker. */
export type Etag = string & { readonly __brand: 'Etag' }
/** `sec_` and 26 characters, fixed for the life of a secret. */
export type SecretId = string & { readonly __brand: 'SecretId' }

const nameBytesMax = 512
const segmentsMax = 16
// control and format characters (bidi among them), white space, and what URLs, policies or Windows paths read as syntax
const forbidden = /[\p{Cc}\p{Cf}\p{Z}\p{Cs}\\%*?#]/u

/**
 * Checks a name and brands it. It is refused rather than repaired, with `invalid_argument` saying which rule it breaks:
 * no empty segment, no `.` or `..`, NFC, at most 512 bytes and 16 segments, none of `\ % * ? #`, no white space, no control characters.
 */
export function secretName(text: string): SecretName {
  const broken = brokenRule(text)
  if (broken !== undefined) {
    throw new BrokerError('invalid_argument', `not a name of a secret: ${broken}`, {
      hint: 'write segments of letters, digits and ._-@+=:~ joined by single slashes, as in payments/stripe',
    })
  }
  return text as SecretName
}

function brokenRule(text: string): string | undefined {
  if (text === '') return 'it is empty'
  if (forbidden.test(text)) return 'it holds white space, a control character or one of \\ % * ? #'
  if (text !== text.normalize('NFC')) return 'it is not in Unicode form NFC'
  if (Buffer.byteLength(text) > nameBytesMax) return `it is longer than ${nameBytesMax} bytes`
  const segments = text.split('/')
  if (segments.length > segmentsMax) return `it has more than ${segmentsMax} segments`
  if (segments.includes('')) return 'it has an empty segment'
  if (segments.some(segment => segment === '.' || segment === '..')) return 'it has a segment that is . or ..'
  return undefined
}
