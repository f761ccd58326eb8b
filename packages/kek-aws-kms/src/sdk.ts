/** What the SDK is told, so that it does not look it up elsewhere, sends nothing twice and prints nothing. */
export const quietSdk = {
  maxAttempts: 1,
  retryMode: 'standard',
  defaultsMode: 'standard',
  useDualstackEndpoint: false,
  useFipsEndpoint: false,
  userAgentAppId: 'keyturn',
  logger: { debug: silent, info: silent, warn: silent, error: silent, trace: silent },
} as const

function silent(): void {}
