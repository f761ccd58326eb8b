import type { z } from 'zod'
import { limits } from '../limits.ts'
import { problemType } from '../problem.ts'
import { problem } from '../problem-schema.ts'

const meanings = {
  400: 'The target, the query or the body is not acceptable; `errors` says where.',
  401: 'No token, or one that is unknown, expired or revoked.',
  403: 'The policy does not allow it, whether or not the name exists.',
  404: 'There is no such thing, and the caller may know it.',
  406: 'The secret has several fields, and the form asked for holds one.',
  409: 'Something else was first: another version, an open rotation, a grace that was promised, a key used for another body.',
  412: 'The state forbids it: the version is revoked, disabled or destroyed.',
  413: `The body is larger than ${limits.bodyBytesMax} bytes, or a field of the value than ${limits.valueBytesMax}.`,
  415: 'The body is not `application/json`, or it is compressed.',
  422: 'The store cannot hold this value whole. Nothing was written.',
  429: 'Too many requests; `Retry-After` says when.',
  499: 'The caller went away.',
  500: 'An error of the broker. The log has more under the request id.',
  501: 'The store or this build cannot do it. Nothing was touched.',
  502: 'The store refused the credential of the broker, or what it holds does not parse.',
  503: 'The store, the ledger, the audit or the KEK is not available. Nothing happened.',
  504: 'The request to the store or the ledger went out and no answer came: it may have happened.',
} as const

export type ProblemStatus = keyof typeof meanings

/** The documented answer of a problem. */
export interface ProblemResponse {
  readonly description: string
  readonly content: { readonly [problemType]: { readonly schema: typeof problem } }
}

const content = { [problemType]: { schema: problem } } as const

/** What any guarded route may answer beside its own. */
const always = [400, 401, 403, 429, 499, 500, 502, 503] as const satisfies readonly ProblemStatus[]
/** What a route with a body may answer beside these. */
export const withBody = [413, 415] as const satisfies readonly ProblemStatus[]

type Problems<S extends ProblemStatus> = { readonly [Status in S]: ProblemResponse }

/** The documented problems of a guarded route. */
export function problems<const S extends ProblemStatus>(more: readonly S[]): Problems<S | (typeof always)[number]> {
  return open([...always, ...more])
}

/** The documented problems of a route that anyone may call. */
export function open<const S extends ProblemStatus>(statuses: readonly S[]): Problems<S> {
  const entries = statuses.map((status): [number, ProblemResponse] => [status, { description: meanings[status], content }])
  return Object.fromEntries(entries) as Problems<S> // one entry for each status, by the line above
}

/** An answer in JSON. */
export function json<T extends z.ZodType>(description: string, schema: T) {
  return { description, content: { 'application/json': { schema } } } as const
}

/** A body in JSON that must be there. */
export function body<T extends z.ZodType>(schema: T) {
  return { required: true, content: { 'application/json': { schema } } } as const
}

/** A body in JSON that may be left out: all of its members have defaults. */
export function optionalBody<T extends z.ZodType>(schema: T) {
  return { required: false, content: { 'application/json': { schema } } } as const
}
