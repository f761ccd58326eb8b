/**
 * What every client of the SDK here is told, so that it does not look it up in the environment of the process or in `~/.aws`: one attempt, no
 * dual stack, no FIPS, no application id, no address but the section's. https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html
 */
export const quietSdk = {
  maxAttempts: 1,
  retryMode: 'standard',
  defaultsMode: 'standard',
  useDualstackEndpoint: false,
  useFipsEndpoint: false,
  ignoreConfiguredEndpointUrls: true,
  userAgentAppId: 'keyturn',
  authSchemePreference: ['aws.auth#sigv4'] as string[],
  // one that prints nothing
  logger: { debug: silent, info: silent, warn: silent, error: silent, trace: silent },
} as const

function silent(): void {}
