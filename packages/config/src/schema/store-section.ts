import { z } from 'zod'
import { path, period, text, url, word } from '../leaves.ts'

const name = text("the broker's name", 'payments/stripe')

/** One secret by `path`; `key` names a field in it. */
export const pathEntrySchema = z.strictObject({
  path: text("the store's own path", 'secret/data/app/api-keys'),
  key: text('a field', 'api_key').optional(),
  name: name.optional(),
  format: z.enum(['text', 'json']).optional(),
})

/** Everything below a prefix. */
export const underEntrySchema = z.strictObject({
  under: text('a prefix that ends in /', 'prod/payments/'),
  name: z
    .string()
    .optional()
    .meta({ description: "the broker's prefix", examples: ['payments/'] }),
  format: z.enum(['text', 'json']).optional(),
})

export const entrySchema = z.union([pathEntrySchema, underEntrySchema])

/** The keys that every store section has, beside those of its kind. */
export const storeCommon = {
  kind: word('the kind of the store').optional(),
  secrets: z.array(entrySchema).optional(),
  timeout: period().optional(),
  ca: path('the file of the certificate authority', 'ca.pem').optional(),
  proxy: url('http', 'https').optional(),
  maxInFlight: z
    .number()
    .int()
    .min(1)
    .max(1024)
    .optional()
    .meta({ description: 'a whole number of calls at once', examples: [32] }),
}

/** The keys of an issuer that every kind has. */
export const issuerCommon = {
  kind: word('the kind of the issuer'),
  timeout: period().optional(),
  ca: path('the file of the certificate authority', 'ca.pem').optional(),
  proxy: url('http', 'https').optional(),
  maxInFlight: z.number().int().min(1).max(1024).optional(),
}
