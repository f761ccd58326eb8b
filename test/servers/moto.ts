import { type AwsEmulator, findInCache, startEmulator } from './aws-emulator.ts'

/** As it is pinned where it is installed. https://docs.getmoto.org/ */
export const motoName = 'moto 5.2.3'

/** `moto_server` in the cache folder of servers; undefined when it is not there. */
export function findMoto(env: NodeJS.ProcessEnv = process.env): Promise<string | undefined> {
  return findInCache('aws/moto/bin/moto_server', env)
}

/** Starts moto. It checks no signature; policies only after `POST /moto-api/reset-auth`. */
export function startMoto(binary: string): Promise<AwsEmulator> {
  return startEmulator({ binary, args: (host, port) => ['-H', host, '-p', String(port)], env: () => ({}), health: '/moto-api/' })
}
