import type { Complaints, Position } from './complaint.ts'
import type { Environment } from './interpolate.ts'
import { type ListenAddress, readAddress } from './leaves.ts'

/** What the environment says where the config is silent, or above it for `listen` and `data`. */
export interface Settings {
  readonly listen: ListenAddress | null
  /** As it was given: relative to the working directory. */
  readonly data: string | null
  readonly environment: string | null
  readonly rotationIntervalDays: number | null
  readonly workerSleepSec: number | null
  readonly kekThresholdDays: number | null
}

/** Reads the variables that Keyturn itself honours. An empty variable counts as not set. */
export function readSettings(env: Environment, at: Position, complaints: Complaints): Settings {
  const get = (name: string) => (Object.hasOwn(env, name) && env[name] !== '' ? (env[name] ?? null) : null)
  const refuse = (name: string, message: string, remedy: string): null => {
    complaints.error(at, '', `the environment variable ${name} ${message}`, remedy)
    return null
  }
  const count = (name: string, most: number, example: string) => {
    const text = get(name)
    if (text === null) return null
    const value = /^\d{1,9}$/.test(text) ? Number(text) : 0
    return value >= 1 && value <= most ? value : refuse(name, `is no whole number from 1 to ${most}`, `set ${example}`)
  }
  const listenText = get('KEYTURN_LISTEN')
  const environment = get('KEYTURN_ENV')
  return {
    listen:
      listenText === null
        ? null
        : (readAddress(listenText) ?? refuse('KEYTURN_LISTEN', 'is no address', 'set host:port, such as 127.0.0.1:8320')),
    data: get('KEYTURN_DATA'),
    environment:
      environment === null || isEnvironment(environment)
        ? environment
        : refuse('KEYTURN_ENV', 'is no name of an environment', 'set a word such as production or development'),
    rotationIntervalDays: count('SECRET_ROTATION_INTERVAL_DAYS', 36_500, 'days, such as SECRET_ROTATION_INTERVAL_DAYS=30'),
    workerSleepSec: count('ROTATION_WORKER_SLEEP_SEC', 2_000_000, 'seconds, such as ROTATION_WORKER_SLEEP_SEC=3600'),
    kekThresholdDays: count('KEK_ROTATION_THRESHOLD_DAYS', 36_500, 'days, such as KEK_ROTATION_THRESHOLD_DAYS=90'),
  }
}

/** Whether a word can name an environment. */
export function isEnvironment(text: string): boolean {
  return /^[A-Za-z][A-Za-z0-9_-]{0,62}$/.test(text)
}
