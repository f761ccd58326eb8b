/** The closed list of types; a name without a row is `generic`. */
export const secretTypes = ['api-key', 'database', 'jwt', 'service-token', 'encryption-key', 'oauth', 'tls', 'generic'] as const

/** What a secret is; policies and schedules go by it. */
export type SecretType = (typeof secretTypes)[number]
