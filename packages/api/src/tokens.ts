import { z } from 'zod'
import { component, time, timeOrNull } from './forms.ts'

const row = { id: z.string(), name: z.string(), role: z.string(), created_at: time, expires_at: timeOrNull }

/** A token's metadata; the token itself is nowhere. */
export const token = component('Token', z.object({ ...row, revoked_at: timeOrNull }))
/** `GET /admin/v1/tokens` */
export const tokenList = component('TokenList', z.object({ tokens: z.array(token) }))
/** `POST /admin/v1/tokens`; `ttl` in seconds, at most ten years. */
export const tokenCreate = component(
  'TokenCreate',
  z.strictObject({
    role: z.string().min(1).max(128),
    ttl: z.int().positive().max(315_360_000),
    name: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/)
      .optional(),
  }),
)
/** The only answer that ever holds a token. */
export const tokenCreated = component('TokenCreated', z.object({ ...row, token: z.string() }))

export type Token = z.infer<typeof token>
export type TokenList = z.infer<typeof tokenList>
export type TokenCreate = z.infer<typeof tokenCreate>
export type TokenCreated = z.infer<typeof tokenCreated>
