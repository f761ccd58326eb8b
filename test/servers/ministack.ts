import { type AwsEmulator, findInCache, startEmulator } from './aws-emulator.ts'

/** As it is pinned where it is installed. https://pypi.org/project/ministack/ */
export const ministackName = 'ministack 1.5.33'

/** `ministack` in the cache folder of servers; undefined when it is not there. */
export function findMinistack(env: NodeJS.ProcessEnv = process.env): Promise<string | undefined> {
  return findInCache('aws/ministack/bin/ministack', env)
}

/** Starts ministack on the loopback; by itself it would listen everywhere. */
export function startMinistack(binary: string): Promise<AwsEmulator> {
  return startEmulator({
    binary,
    args: () => [],
    env: (host, port) => ({ BIND_HOST: host, GATEWAY_PORT: String(port) }),
    health: '/_ministack/health',
  })
}
