import { z } from 'zod'

/**
 * Path parameters document; they check nothing. The broker cuts the name from the raw request target with `nameInTarget` and
 * `referenceInTarget`, because routers decode and normalise on their own.
 */
export const nameInPath = z.object({
  name: z.string().meta({ description: 'The name: segments percent-encoded, joined by slashes.', examples: ['payments/stripe'] }),
})
export const referenceInPath = z.object({
  secret_id: z.string().meta({
    description: 'The id (`sec_` and 26 characters), or the whole name percent-encoded, its slashes as `%2F`.',
    examples: ['payments%2Fstripe'],
  }),
})
export const operationInPath = z.object({ op_id: z.string() })
export const tokenInPath = z.object({ id: z.string() })
export const kekInPath = z.object({ kek_id: z.string() })

const idempotencyKey = z
  .string()
  .regex(/^[!-~]{1,128}$/)
  .optional()
  .meta({ description: 'The same key answers the same for 24 hours, for one principal and route; with another body it is 409.' })

/** Every POST and PUT that changes something takes it. */
export const idempotent = z.object({ 'idempotency-key': idempotencyKey })

const etag = (description: string) => z.string().max(512).optional().meta({ description })

/** Preconditions of PUT and DELETE (RFC 9110, section 13); without any the request is unconditional. */
export const conditional = z.object({
  'idempotency-key': idempotencyKey,
  'if-match': etag('The `ETag` that the caller saw last: `"<version>"`. A store without compare-and-set answers 501.'),
  'if-none-match': etag('`*`: only if the secret does not exist.'),
})
export const cacheable = z.object({
  accept: z.string().optional().meta({ description: '`application/json` (default), or `text/plain` for the bytes of one field.' }),
  'if-none-match': etag('The `ETag` that the caller holds: 304 when it is still served.'),
})

const text = (description: string) => ({ description, schema: { type: 'string' as const } })

/** The headers of an answer that carries a value. */
export const secretHeaders = {
  ETag: text('`"<version>"`'),
  Age: text('Seconds since the value was read from its store.'),
  'Cache-Control': text('`no-store`'),
  'X-Keyturn-Source': text('The store that was asked for this answer, or `cache`: then it is `Age` seconds old.'),
  'X-Keyturn-Stale': text('`true` when no store answers now and the value is from before; only where the row has `maxStale`.'),
}
export const etagHeader = { ETag: text('`"<version>"`') }
